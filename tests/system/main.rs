//! The whole program, from outside: what it promises to somebody who has a shell and a disk.

mod cli;
mod imagenet;
mod inputs;
mod journals;
mod oracle;
mod program;
mod promise;
mod resume;
mod signals;
mod snapshot;
