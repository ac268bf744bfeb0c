//! The whole program, from outside: what it promises to somebody who has a shell and a disk.

mod cli;
mod device;
mod everywhere;
mod faults;
mod flips;
mod format;
mod full;
mod imagenet;
mod inputs;
mod journals;
mod kills;
mod misbehaviour;
mod oracle;
mod program;
mod promise;
mod reproduce;
mod resume;
mod signals;
mod snapshot;
