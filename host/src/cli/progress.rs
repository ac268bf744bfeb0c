//! The progress of a run: on a terminal one line that is rewritten, otherwise occasional lines.

use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::time::Duration;

use fooling::report::percent;
use fooling::run::{Observer, Progress, Stats};
use indicatif::{ProgressBar, ProgressStyle};

use super::interrupts::interrupted;

/// Shows the progress of a run on stderr, and stops it after an interrupt.
pub(super) struct Watcher {
    generations: u32,
    /// Hidden unless stderr is a terminal.
    bar: ProgressBar,
    schedule: Option<Schedule>,
    first_generation: u32,
    /// Whether the reason for rejected pictures has been printed.
    warned: bool,
}

impl Watcher {
    /// For a run with this many generations after the initial batch.
    pub(super) fn new(generations: u32) -> Self {
        let terminal = std::io::stderr().is_terminal() && !super::launch::quiet();
        let bar = if terminal { ProgressBar::new(u64::from(generations) + 1) } else { ProgressBar::hidden() };
        // A wide message is truncated to the width of the terminal, so that the line never wraps.
        bar.set_style(ProgressStyle::with_template("{wide_msg}").expect("a valid template"));
        Self { generations, bar, schedule: (!terminal).then(Schedule::default), first_generation: 0, warned: false }
    }

    /// Removes the line from the terminal.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn warn_of_refusals(&mut self, progress: &Progress) {
        let Some((child, problem)) = progress.invalid_scores.filter(|_| !std::mem::replace(&mut self.warned, true)) else { return };
        let generation = progress.generation;
        self.bar.suspend(|| say!("warning: picture {child} of generation {generation} is refused: {problem}"));
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // However the run ends, an error message must not share a line with the progress.
        self.bar.finish_and_clear();
    }
}

impl Observer for Watcher {
    fn started(&mut self, next_generation: u32, warning: Option<&str>) {
        if let Some(warning) = warning {
            say!("warning: {warning}");
        }
        if let Some(line) = start_line(next_generation, self.generations) {
            say!("{line}");
        }
        self.first_generation = next_generation;
    }

    fn generation(&mut self, progress: &Progress) -> ControlFlow<()> {
        self.warn_of_refusals(progress);
        let stopped = interrupted();
        let last = stopped || progress.generation >= progress.generations;
        match &mut self.schedule {
            Some(schedule) => {
                if schedule.is_due(progress.elapsed) || last {
                    say!("{}", line(progress, self.first_generation));
                }
            }
            None => self.bar.set_message(line(progress, self.first_generation)),
        }
        if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// The message before the first generation of this process.
fn start_line(next_generation: u32, generations: u32) -> Option<String> {
    match next_generation.checked_sub(1) {
        None => None,
        Some(done) if done >= generations => Some(format!(
            "nothing to do: all {generations} generations are done already{}; to extend the run, give --generations a number above {done}",
            if done > generations { format!(" ({done} are recorded)") } else { String::new() }
        )),
        Some(_) => Some(format!("resuming with generation {next_generation} of {generations}")),
    }
}

/// The line for a generation. The most important parts come first: a narrow terminal cuts off the rest.
fn line(progress: &Progress, first_generation: u32) -> String {
    let Progress { generation, generations, pictures, refused, elapsed, stats, .. } = progress;
    let seconds = elapsed.as_secs_f64();
    let done = f64::from(generation + 1 - first_generation);
    let left = duration(seconds / done * f64::from(generations.saturating_sub(*generation)));
    let rate = if seconds > 0.0 { *pictures as f64 / seconds } else { 0.0 };
    let refused = if *refused > 0 { format!(", {refused} REFUSED (invalid scores)") } else { String::new() };
    format!("generation {generation} of {generations}, {left} left{refused}, {}, {rate:.0} images/s", confidence(stats))
}

fn confidence(stats: &Stats) -> String {
    let Stats { filled, median, lowest, highest, at_99, at_9999, .. } = *stats;
    if filled == 1 {
        return format!("confidence {}", percent(highest, 2));
    }
    let (median, lowest) = (percent(median, 2), percent(lowest, 2));
    format!("median {median}, lowest {lowest}, {at_99} of {filled} classes at 99 %, {at_9999} at 99.99 %")
}

/// A time in one or two units.
fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// When to write a line of plain progress: at once, every five seconds in the first minute, then every minute.
#[derive(Debug, Default)]
struct Schedule {
    next: Duration,
}

impl Schedule {
    fn is_due(&mut self, elapsed: Duration) -> bool {
        let due = elapsed >= self.next;
        if due {
            self.next = elapsed + Duration::from_secs(if elapsed < Duration::from_secs(60) { 5 } else { 60 });
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use fooling::run::Scores;

    use super::*;

    fn progress(generation: u32, seconds: u64) -> Progress {
        let elapsed = Duration::from_secs(seconds);
        let stats = Scores::new(10).stats();
        Progress { generation, generations: 3, pictures: 400, refused: 0, invalid_scores: None, elapsed, stats }
    }

    #[test]
    fn the_last_generation_is_not_counted_past() {
        assert!(line(&progress(0, 4), 0).starts_with("generation 0 of 3, 12 s left, median 0.00 %"));
        assert!(line(&progress(3, 4), 0).starts_with("generation 3 of 3, 0 s left"));
        // A resumed run is timed from where it was resumed.
        assert!(line(&progress(2, 4), 2).starts_with("generation 2 of 3, 4 s left"));
    }

    #[test]
    fn a_finished_run_says_so_when_it_is_resumed() {
        assert_eq!(start_line(0, 3), None);
        assert_eq!(start_line(3, 3).unwrap(), "resuming with generation 3 of 3");
        let done = start_line(4, 3).unwrap();
        assert!(done.starts_with("nothing to do: all 3 generations are done already;") && done.ends_with("above 3"), "{done}");
        let fewer = start_line(41, 10).unwrap();
        assert!(fewer.contains("all 10 generations") && fewer.contains("(40 are recorded)") && fewer.ends_with("above 40"), "{fewer}");
    }

    #[test]
    fn plain_lines_come_often_at_first_and_then_every_minute() {
        let mut schedule = Schedule::default();
        let due: Vec<u64> = (0..600).filter(|&second| schedule.is_due(Duration::from_secs(second))).collect();
        assert_eq!(due, [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 120, 180, 240, 300, 360, 420, 480, 540]);
        // Generations that take hours each get a line.
        let due = (1..5).filter(|&hour| schedule.is_due(Duration::from_secs(hour * 3600))).count();
        assert_eq!(due, 4);
    }

    #[test]
    fn durations_have_one_or_two_units() {
        assert_eq!([0.4, 119.0, 150.0, 7300.0].map(duration), ["0 s", "119 s", "3 min", "2 h 1 min"]);
    }
}
