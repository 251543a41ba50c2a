//! Background work during training.

use crate::error::{Error, Result};
use std::thread::{Builder, JoinHandle};

/// Work done on a separate thread, one piece at a time.
#[derive(Default)]
pub(super) struct Background {
    under_way: Option<JoinHandle<Result<()>>>,
    waiting: Option<Job>,
}

pub(super) type Job = Box<dyn FnOnce() -> Result<()> + Send>;

impl Background {
    /// Whether nothing is under way or waits.
    ///
    /// # Errors
    /// The error of the piece that has ended.
    pub fn is_idle(&mut self) -> Result<bool> {
        if self.under_way.as_ref().is_some_and(JoinHandle::is_finished) {
            self.next()?;
        }
        Ok(self.under_way.is_none())
    }

    /// Waits until all earlier jobs have ended, then starts `job`.
    ///
    /// # Errors
    /// The errors of the earlier pieces.
    pub fn run(&mut self, job: Job) -> Result<()> {
        self.finish()?;
        self.start(job)
    }

    /// Queues `job` behind the piece under way. Of the waiting jobs only the latest is done.
    ///
    /// # Errors
    /// The error of the piece that has ended.
    pub fn run_latest(&mut self, job: Job) -> Result<()> {
        if self.is_idle()? {
            return self.start(job);
        }
        self.waiting = Some(job);
        Ok(())
    }

    /// Waits until all is done.
    ///
    /// # Errors
    /// The errors of the pieces; jobs behind a failed one are not done.
    pub fn finish(&mut self) -> Result<()> {
        while self.under_way.is_some() {
            self.next()?;
        }
        Ok(())
    }

    /// Waits for the piece that is under way, and starts the one that waits.
    fn next(&mut self) -> Result<()> {
        let waiting = self.waiting.take();
        if let Some(thread) = self.under_way.take() {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        waiting.map_or(Ok(()), |job| self.start(job))
    }

    fn start(&mut self, job: Job) -> Result<()> {
        let thread = Builder::new().name("checkpoint".into()).spawn(job);
        self.under_way =
            Some(thread.map_err(|e| Error::io("start a thread for", "checkpoints".as_ref(), e))?);
        Ok(())
    }
}

impl Drop for Background {
    /// A file that is being written is written to its end.
    fn drop(&mut self) {
        if let Some(thread) = self.under_way.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn of_what_waits_only_the_latest_is_done() {
        let (said, heard) = channel();
        let (release, wait) = channel::<()>();
        let say = |name: &'static str| {
            let said = said.clone();
            Box::new(move || said.send(name).map_err(|e| Error::value("job", "a listener", e)))
        };
        let mut background = Background::default();
        let first = say("first");
        background.run(Box::new(move || wait.recv().map_or(Ok(()), |()| first()))).unwrap();
        for name in ["second", "third"] {
            background.run_latest(say(name)).unwrap();
            assert!(!background.is_idle().unwrap());
        }
        release.send(()).unwrap();
        background.run(say("fourth")).unwrap();
        background.finish().unwrap();
        assert!(background.is_idle().unwrap());
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), ["first", "third", "fourth"]);
    }

    #[test]
    fn an_error_comes_back_with_the_next_call() {
        let failed = || Error::value("disk", "room", "none");
        let mut background = Background::default();
        background.run(Box::new(move || Err(failed()))).unwrap();
        // The first that hears of it depends on how long the job takes.
        let told = [background.run_latest(Box::new(|| Ok(()))), background.finish(), background.finish()];
        assert_eq!(told.iter().filter(|result| result.is_err()).count(), 1);
    }
}
