//! New inputs: from those that are known by small changes, or made up.

use crate::targets::choice::Choice;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// No input grows beyond this.
const LONGEST: usize = 4 << 10;

/// As many inputs that did something new are kept for further changes.
const MOST_KEPT: usize = 2000;

/// Makes inputs, always the same from the same seed.
pub(crate) struct Source {
    choice: Choice,
    kept: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
    runner: TestRunner,
    made_up: BoxedStrategy<Vec<u8>>,
}

impl Source {
    /// Begins with these inputs and words.
    pub(crate) fn new(seed: u64, corpus: Vec<Vec<u8>>, words: Vec<Vec<u8>>) -> Self {
        let mut choice = Choice::seeded(seed);
        let bytes: Vec<u8> = (0..4).flat_map(|_| choice.next().to_le_bytes()).collect();
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let runner = TestRunner::new_with_rng(Config::default(), rng);
        let word = prop_oneof![
            4 => proptest::sample::select(words.clone()),
            1 => vec(any::<u8>(), 0..4),
            1 => "[ -~]{0,8}".prop_map(String::into_bytes),
            1 => any::<char>().prop_map(|letter| letter.to_string().into_bytes()),
        ];
        let made_up = prop_oneof![
            4 => vec(word, 0..24).prop_map(|words| words.concat()),
            1 => vec(any::<u8>(), 0..120),
            1 => any::<String>().prop_map(String::into_bytes),
        ];
        Self { choice, kept: corpus, words, runner, made_up: made_up.boxed() }
    }

    /// The next input.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        if self.choice.below(4) == 0 || self.kept.is_empty() {
            let tree = self.made_up.new_tree(&mut self.runner).expect("it filters nothing");
            return tree.current();
        }
        let mut input = self.kept[self.choice.below(self.kept.len())].clone();
        for _ in 0..=self.choice.below(5) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        // Without knowing what an input reached, chance decides which are built upon.
        if self.kept.len() < MOST_KEPT && self.choice.below(64) == 0 {
            self.kept.push(input.clone());
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.choice.below(input.len() + 1);
        let end = (at + self.choice.below(20)).min(input.len());
        match self.choice.below(8) {
            0 => drop(input.drain(at..end)),
            1 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.choice.below(8);
                }
            }
            2 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = self.choice.next().to_le_bytes()[0];
                }
            }
            3 | 4 if !self.words.is_empty() => {
                let word = self.words[self.choice.below(self.words.len())].clone();
                // In the place of something, or between.
                let end = if self.choice.below(2) == 0 { at } else { (at + word.len()).min(input.len()) };
                input.splice(at..end, word);
            }
            5 => {
                let times = 1 + self.choice.below(4);
                let again = input[at..end].repeat(times);
                input.splice(at..at, again);
            }
            6 => {
                let other = &self.kept[self.choice.below(self.kept.len())];
                let tail = other[self.choice.below(other.len() + 1)..].to_vec();
                input.splice(at.., tail);
            }
            _ => {
                let other = &self.kept[self.choice.below(self.kept.len())];
                let from = self.choice.below(other.len() + 1);
                let to = (from + self.choice.below(40)).min(other.len());
                let piece = other[from..to].to_vec();
                input.splice(at..at, piece);
            }
        }
    }
}
