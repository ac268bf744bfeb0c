//! Tests of the whole program from outside: what it promises to a user with a shell and a disk.

mod audit;
mod breed;
mod cli;
mod device;
mod export;
mod failing_writes;
mod faults;
mod flipped_bytes;
mod imagenet;
mod inputs;
mod instruction_sets;
mod invalid_scores;
mod journal_format;
mod journals;
mod kills;
mod microcontroller;
mod networks;
mod oracle;
mod program;
mod reproduce;
mod resume;
mod shipped_lenet;
mod signals;
mod snapshot;
