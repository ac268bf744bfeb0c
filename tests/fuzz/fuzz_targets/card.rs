//! Model cards: any text is a card or an error, and a card can be written and read back.
#![no_main]

use fooling::internals::Card;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(card) = Card::parse(text, "card.toml") {
        let again = Card::parse(&card.to_toml(), "card.toml").expect("a written card can be read");
        assert_eq!(again.to_toml(), card.to_toml());
    }
});
