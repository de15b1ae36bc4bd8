// One image after the other, without a hand.
//
// Called by the single view and the keys. The time counts from when a picture is to be seen, so a slow one
// is looked at as long as the others.

// Long enough to look, short enough to stay.
const SECONDS = 4;

export class Slideshow {
  isOn = false;
  #timer = 0;

  /** @param {{next: () => void, changed: (isOn: boolean) => void}} hooks */
  constructor(hooks) {
    this.hooks = hooks;
  }

  toggle() {
    if (this.isOn) this.stop();
    else this.start();
  }

  start() {
    this.isOn = true;
    this.hooks.changed(true);
    this.shown();
  }

  stop() {
    if (!this.isOn) return;
    clearTimeout(this.#timer);
    this.isOn = false;
    this.hooks.changed(false);
  }

  /** A picture is to be seen from now on. */
  shown() {
    clearTimeout(this.#timer);
    if (this.isOn) this.#timer = window.setTimeout(() => this.hooks.next(), SECONDS * 1000);
  }
}
