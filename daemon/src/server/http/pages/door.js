// Takes up a link in a browser: reads its secret from behind the `#`, which no browser sends to anybody,
// hands it to the server once, and tells what came of it. Everything that is shown is text, never markup.
// One page for the two links: an invitation makes an account, a login lets this browser into one.

const secret = location.hash.slice(1);
// At once: neither the address bar, nor the history, nor what is copied from there has it any more.
history.replaceState(null, "", location.pathname);

const does = location.pathname === "/login" ? "login" : "join";

const WORDS = {
  pt: {
    "join.title": "Você foi convidado",
    "join.lead": "Escolha o nome pelo qual os outros vão conhecer você aqui.",
    "join.do": "Entrar",
    "login.title": "Entrar aqui",
    "login.lead": "O seu link deixa este navegador entrar, uma vez.",
    "login.do": "Entrar",
    user: "Seu nome",
    device: "Como chamar este navegador",
    "device.why": "Ele aparece entre os seus dispositivos.",
    "device.label": "{browser} em {system}",
    here: "Aqui você é {user}",
    "may.viewer": "Você pode ver e baixar as imagens.",
    "may.member": "Você pode ver, baixar e enviar imagens, e alterar as suas.",
    "may.admin": "Você pode tudo, também convidar pessoas.",
    "next.pictures": "Ver as imagens",
    "next.computer":
      "Para compartilhar imagens de um computador, instale nele o imgrepo, peça a quem convidou você um link para mais um dispositivo e use-o em um terminal:",
    "next.browser": "Este navegador continua conectado até você sair aqui, ou por 90 dias sem visita.",
    leave: "Sair",
    "left.title": "Você saiu",
    "left.do": "Este navegador não é mais um dos seus dispositivos.",
    "link.title": "Falta uma parte do link",
    "link.do": "Abra o link inteiro, como você o recebeu: o que vem depois de # faz parte dele. Recarregar a página não basta.",
    unreachable: "não foi possível falar com o servidor: verifique a rede e tente de novo",
    "refused.unread": "O servidor não aceitou o pedido.\nAbra o link de novo, como você o recebeu.",
    "refused.bad_request": "O servidor não entendeu o pedido.\nAbra o link de novo, como você o recebeu.",
    "refused.bad_name":
      "Este nome não pode ser usado aqui.\nEscolha outro: mais curto, sem sinais estranhos, e que não termine em (guest).",
    "refused.unauthenticated": "Este navegador não está mais conectado aqui.\nPeça um link novo e abra-o nele.",
    "refused.denied":
      "Este link não deixa entrar: ele já foi usado, foi cancelado, passou do prazo ou não é deste servidor.\nPeça um novo.",
    "refused.join.conflict":
      "Alguém já tem este nome aqui, ou a conta deste convite já existe.\nEscolha outro. Se for você, peça um link para mais um dispositivo.",
    "refused.login.conflict":
      "Você já tem tantos dispositivos quanto é possível.\nRetire um deles e tente de novo: imgctl devices revoke",
    "refused.not_found": "O que foi pedido não existe mais.\nRecarregue a página.",
    "refused.busy": "Foram muitas tentativas sem sucesso.\nTente de novo daqui a um minuto.",
    "refused.storage_full": "O servidor está sem espaço.\nAvise quem cuida dele.",
    "refused.shutting_down": "O servidor está sendo desligado.\nTente de novo daqui a pouco.",
    "refused.internal": "O servidor teve um problema.\nTente de novo; se continuar, avise quem cuida dele.",
  },
  // The page's own texts are English, and so is what the server says when it refuses.
  en: {
    "join.title": "You are invited",
    "join.lead": "Choose the name under which the others here will know you.",
    "join.do": "Join",
    "login.title": "Log in here",
    "login.lead": "Your link lets this browser in, once.",
    "login.do": "Log in",
    "device.label": "{browser} on {system}",
    here: "You are {user} here",
    "may.viewer": "You may look at the pictures and download them.",
    "may.member": "You may look at the pictures, download them, add some, and change your own.",
    "may.admin": "You may do everything, and invite people.",
    "left.title": "You have logged out",
    "left.do": "This browser is not one of your devices any more.",
    "link.title": "A part of the link is missing",
    "link.do": "Open the whole link as you got it: what stands behind the # belongs to it. Reloading this page is not enough.",
    unreachable: "cannot speak with the server: look at the network and try again",
  },
};

const isPortuguese = navigator.language.toLowerCase().startsWith("pt");
const words = isPortuguese ? WORDS.pt : WORDS.en;
const part = (id) => document.getElementById(id);
const say = (key, values = {}) =>
  words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);

if (isPortuguese) {
  document.documentElement.lang = "pt-BR";
  for (const element of document.querySelectorAll("[data-say]")) {
    element.textContent = say(element.dataset.say);
  }
}

for (const id of ["title", "lead", "do"]) part(id).textContent = say(`${does}.${id}`);
if (does === "login") part("name").remove();

/** Asks the server: what it answered, or the words in which it refused. */
async function ask(path, body) {
  const post = body && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  try {
    const response = await fetch(path, post);
    const text = await response.text();
    try {
      const told = JSON.parse(text);
      return response.ok ? { told } : { refusal: sentence(told.error) };
    } catch {
      // What was refused before it was read is answered in plain text.
      return { refusal: words["refused.unread"] ?? (text.trim() || say("unreachable")) };
    }
  } catch {
    return { refusal: say("unreachable") };
  }
}

/** What was refused, in the reader's language: by its code, and in the server's words where we have none. */
function sentence({ code, message, hint }) {
  const ours = words[`refused.${does}.${code}`] ?? words[`refused.${code}`];
  if (ours) return ours;
  // An option of the command line is of no use here.
  return hint && !hint.startsWith("--") ? `${message}\n${hint}` : message;
}

/** Shows one part of the page and has a screen reader begin there. */
function show(id) {
  for (const other of ["ask", "here", "closed"]) part(other).hidden = other !== id;
  part(id).querySelector("h1").focus();
}

function showPerson({ user, role }) {
  part("who").textContent = say("here", { user });
  part("may").textContent = words[`may.${role}`] ?? "";
  show("here");
}

function showClosed(which) {
  part("why-closed").textContent = say(`${which}.title`);
  part("what-to-do").textContent = say(`${which}.do`);
  show("closed");
}

/** What to call this browser until somebody says better: what it says of itself. */
function label() {
  const told = navigator.userAgent;
  const first = (names) => names.find(([mark]) => told.includes(mark))?.[1];
  const browser = first([
    ["Firefox", "Firefox"], ["Edg/", "Edge"], ["OPR/", "Opera"], ["Chrome", "Chrome"],
    ["Safari", "Safari"],
  ]);
  const system = first([
    ["Android", "Android"], ["iPhone", "iPhone"], ["iPad", "iPad"], ["Mac OS", "macOS"],
    ["Windows", "Windows"], ["Linux", "Linux"],
  ]);
  return browser && system ? say("device.label", { browser, system }) : browser ?? "browser";
}

/** Carries out what a button asks for: once at a time, and what is refused is said beside it. */
async function press(button, complaint, path, body) {
  complaint.hidden = true;
  button.disabled = true;
  const { told, refusal } = await ask(path, body);
  button.disabled = false;
  if (refusal !== undefined) {
    complaint.textContent = refusal;
    complaint.hidden = false;
    button.focus();
  }
  return told;
}

part("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const asked = Object.fromEntries(new FormData(event.target));
  const button = event.target.querySelector("button");
  const told = await press(button, part("refused"), `/api/${does}`, { secret, ...asked });
  // What one was invited to.
  if (told) location.replace("/");
});

part("leave").addEventListener("click", async () => {
  const told = await press(part("leave"), part("stuck"), "/api/logout", {});
  if (told) showClosed("left");
});

if (secret) {
  part("device").value = label();
  show("ask");
  part("ask").querySelector("input").focus();
} else {
  // Opened again, or reloaded: the link did its work already.
  const { told } = await ask("/api/me");
  if (told?.device) showPerson(told);
  else showClosed("link");
}
