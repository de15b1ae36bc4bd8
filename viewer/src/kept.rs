//! Pictures that the page has fetched and may want again: the ones of a screen that is scrolled back
//! to, and an image's neighbours. Within a bound; the oldest go first. Called by `door`.
//!
//! The web view itself keeps nothing of a custom protocol. Only addresses that name the content are
//! kept, so nothing here is ever out of date.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::fetch::Picture;

/// What is kept at most: a thousand thumbnails and a few dozen pictures of the screen's size.
const KEPT_BYTES: usize = 96 * 1024 * 1024;

/// What is kept, by its address.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    pictures: HashMap<String, Arc<Picture>>,
    order: VecDeque<String>,
    bytes: usize,
}

impl Kept {
    /// What this address has.
    pub(crate) fn get(&self, address: &str) -> Option<Arc<Picture>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pictures.get(address).cloned()
    }

    /// Keeps it, unless it alone is too much.
    pub(crate) fn put(&self, address: String, picture: Arc<Picture>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Two may have fetched the same.
        if picture.bytes.len() > KEPT_BYTES / 8 || inner.pictures.contains_key(&address) {
            return;
        }
        inner.bytes += picture.bytes.len();
        inner.order.push_back(address.clone());
        inner.pictures.insert(address, picture);
        while inner.bytes > KEPT_BYTES {
            let Some(oldest) = inner.order.pop_front() else { return };
            let gone = inner.pictures.remove(&oldest);
            inner.bytes -= gone.map_or(0, |picture| picture.bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use imgrepo_proto::{ImageId, ImageRecord};

    use super::*;

    fn picture(bytes: usize) -> Arc<Picture> {
        let record = ImageRecord::bare(ImageId(7), "a.jpg", "");
        Arc::new(Picture { record, hash: None, media_type: None, bytes: vec![0; bytes] })
    }

    #[test]
    fn the_oldest_go_first_and_the_bound_holds() {
        const PART: usize = KEPT_BYTES / 8;
        let kept = Kept::default();
        kept.put("too much".to_owned(), picture(PART + 1));
        assert!(kept.get("too much").is_none());
        for number in 0..8 {
            kept.put(number.to_string(), picture(PART));
            kept.put(number.to_string(), picture(PART));
        }
        assert!(kept.get("0").is_some());
        kept.put("8".to_owned(), picture(1));
        assert!(kept.get("0").is_none() && kept.get("1").is_some() && kept.get("8").is_some());
        assert_eq!(kept.0.lock().unwrap().bytes, 7 * PART + 1);
    }
}
