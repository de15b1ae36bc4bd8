//! Names of people that look the same; on both catalogs.

use imgrepo_proto::ErrorCode;
use imgrepod::repository::catalog::PersonKind;

use super::people::{folk, member};
use super::scene::{now, person};

#[test]
fn a_name_that_looks_like_anothers_is_taken() {
    for folk in folk() {
        let shown = |name: &str| {
            let guest = folk.scene.catalog.person(PersonKind::Guest, &person(name), now());
            folk.shown(guest.unwrap())
        };
        assert_eq!(shown("BEA"), "BEA");
        folk.account("bea", 1);
        assert_eq!(shown("BEA"), "BEA (guest)");
        assert_eq!(shown("bea\u{200b}"), "bea\u{200b} (guest)");
        assert_eq!(shown("ＯＬＧＡ"), "ＯＬＧＡ (guest)");
        assert_eq!(shown("béa"), "béa");
        folk.invite(member(2));
        for name in ["Bea", "b\u{ad}ea", "OLGA"] {
            assert_eq!(folk.join(2, name, 2).unwrap_err().code, ErrorCode::Conflict, "{name:?}");
        }
        for name in ["bo (GUEST)", "bo\u{a0}（guest）", "\u{2060}"] {
            assert_eq!(folk.join(2, name, 2).unwrap_err().code, ErrorCode::BadName, "{name:?}");
        }
        // As it was written.
        let caio = folk.join(2, "Caio\u{ad}", 2).unwrap();
        assert_eq!(folk.shown(caio), "Caio\u{ad}");
    }
}
