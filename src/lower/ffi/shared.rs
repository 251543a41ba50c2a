//! Work that is shared among the threads on which XLA runs a program.

use super::c_api::{self, Api, ExecutionContext, Future};
use super::message;
use neural_kernels::Threads;
use std::any::Any;
use std::ffi::c_void;
use std::hint;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Instant;

/// The threads of the program that a call belongs to.
pub(super) struct XlaThreads {
    pub api: &'static Api,
    /// XLA's context, valid during the call.
    pub context: *mut ExecutionContext,
}

// SAFETY: any thread may use XLA's threads during the call.
unsafe impl Sync for XlaThreads {}

pub(super) type Work = Box<dyn Fn(usize) + Send + Sync>;

impl Threads for XlaThreads {
    fn count(&self) -> usize {
        let mut threads = 1;
        let mut arguments = c_api::ThreadPoolNumThreads {
            struct_size: size_of::<c_api::ThreadPoolNumThreads>(),
            extension_start: ptr::null_mut(),
            context: self.context,
            threads: &raw mut threads,
        };
        // SAFETY: the arguments are whole, and the context belongs to a call in progress.
        let counted = self.api.succeeds(unsafe { (self.api.thread_pool_num_threads)(&raw mut arguments) });
        // A program without its own threads runs on the caller's.
        if counted { threads.max(1) as usize } else { 1 }
    }

    fn share(&self, pieces: usize, work: &(dyn Fn(usize) + Sync)) {
        if pieces < 2 {
            return (0..pieces).for_each(work);
        }
        // SAFETY: `work` is called for pieces alone, and the last of them has ended before this function returns.
        let work: &'static (dyn Fn(usize) + Sync) = unsafe { std::mem::transmute(work) };
        let end = End::Unpark(thread::current());
        let shared = Arc::new(Shared::new(pieces, Box::new(work), end));
        self.help(&shared);
        shared.take_pieces();
        shared.wait();
        if let Some(panic) = shared.panic() {
            resume_unwind(panic);
        }
    }
}

impl XlaThreads {
    /// Begins `work` on all threads, including this one, and returns when no piece is left to begin. The future is
    /// completed after the last piece; `None` where XLA has none, and then no work was begun.
    pub fn share_later(&self, pieces: usize, work: Work) -> Option<*mut Future> {
        let mut arguments = c_api::FutureCreate {
            struct_size: size_of::<c_api::FutureCreate>(),
            extension_start: ptr::null_mut(),
            future: ptr::null_mut(),
        };
        // SAFETY: the arguments are whole.
        let created = self.api.succeeds(unsafe { (self.api.future_create)(&raw mut arguments) });
        let future = Some(arguments.future).filter(|future| created && !future.is_null())?;
        let shared = Arc::new(Shared::new(pieces, work, End::Complete(Promise { api: self.api, future })));
        self.help(&shared);
        shared.take_pieces();
        Some(future)
    }

    /// Gives an idle thread a task that does nothing, where threads shared work lately. A thread looks for tasks for about
    /// 35 us and then sleeps. Waking it takes 25 to 50 us, part of them on the thread that wakes it. Calls that may run on one
    /// thread begin with this, so that another is awake for the next call that shares its work.
    pub fn keep_awake(&self) {
        unsafe extern "C" fn nothing(_: *mut c_void) {
            LAST_TASK.store(now(), Ordering::Relaxed);
        }
        /// The ns since the last task in which this helps: before, the thread is awake for long enough; after, it sleeps.
        const IN_TIME: Range<u64> = 12_000..28_000;
        /// The ns after which shared work is no longer expected: a thread that looks for it takes a core.
        const LATELY: u64 = 1_000_000;
        let (now, task) = (now(), LAST_TASK.load(Ordering::Relaxed));
        let is_shared = now.saturating_sub(LAST_SHARED.load(Ordering::Relaxed)) < LATELY;
        if IN_TIME.contains(&now.saturating_sub(task)) && is_shared && self.count() > 1 {
            LAST_TASK.store(now, Ordering::Relaxed);
            self.schedule(nothing, ptr::null_mut());
        }
    }

    /// Has XLA's threads run a task. Returns whether they will.
    fn schedule(&self, task: Task, data: *mut c_void) -> bool {
        let mut arguments = c_api::ThreadPoolSchedule {
            struct_size: size_of::<c_api::ThreadPoolSchedule>(),
            extension_start: ptr::null_mut(),
            context: self.context,
            task,
            data,
        };
        // SAFETY: the arguments are whole, and the context belongs to a call in progress.
        self.api.succeeds(unsafe { (self.api.thread_pool_schedule)(&raw mut arguments) })
    }

    /// Has other threads take pieces too. A late one finds none left, so nothing waits for it.
    fn help(&self, shared: &Arc<Shared>) {
        unsafe extern "C" fn task(shared: *mut c_void) {
            // SAFETY: it is the pointer handed over below, once for each task.
            unsafe { Arc::from_raw(shared.cast_const().cast::<Shared>()) }.take_pieces();
            LAST_TASK.store(now(), Ordering::Relaxed);
        }
        let now = now();
        LAST_SHARED.store(now, Ordering::Relaxed);
        LAST_TASK.store(now, Ordering::Relaxed);
        for _ in 1..self.count().min(shared.pieces) {
            let data = Arc::into_raw(Arc::clone(shared));
            if !self.schedule(task, data.cast_mut().cast()) {
                // SAFETY: XLA did not take the task, so that the data is still ours.
                drop(unsafe { Arc::from_raw(data) });
                return;
            }
        }
    }
}

type Task = unsafe extern "C" fn(*mut c_void);

/// When a task was last scheduled or ended, and when work was last shared, in the time of [`now`]. They serve all programs of
/// the process: several at once may wake a thread that sleeps, or keep one awake that nobody needs.
static LAST_TASK: AtomicU64 = AtomicU64::new(u64::MAX);
static LAST_SHARED: AtomicU64 = AtomicU64::new(0);

/// The time in ns since the first call.
fn now() -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    FIRST.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Pieces of work that several threads take from.
struct Shared {
    work: Work,
    pieces: usize,
    /// The next piece to be taken.
    next: AtomicUsize,
    /// How many have not ended.
    left: AtomicUsize,
    /// The first panic.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    end: End,
}

/// Work for the thread that finishes the last piece.
enum End {
    Unpark(Thread),
    Complete(Promise),
}

struct Promise {
    api: &'static Api,
    future: *mut Future,
}

// SAFETY: XLA lets any thread complete a future.
unsafe impl Send for Promise {}
unsafe impl Sync for Promise {}

impl Shared {
    fn new(pieces: usize, work: Work, end: End) -> Self {
        let (next, left) = (AtomicUsize::new(0), AtomicUsize::new(pieces));
        Self { work, pieces, next, left, panic: Mutex::new(None), end }
    }

    fn take_pieces(&self) {
        loop {
            let i = self.next.fetch_add(1, Ordering::Relaxed);
            if i >= self.pieces {
                return;
            }
            // A panic must not reach XLA's frames.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (self.work)(i))) {
                self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
            }
            if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                match &self.end {
                    End::Unpark(thread) => thread.unpark(),
                    End::Complete(promise) => promise.complete(self.panic()),
                }
            }
        }
    }

    fn panic(&self) -> Option<Box<dyn Any + Send>> {
        self.panic.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Returns when all pieces have ended. It goes to sleep only after a while, as most pieces are short. Until then it does not
    /// yield: where another program wants the core, that would give it away for milliseconds.
    fn wait(&self) {
        /// The ns after which it sleeps, about the time that waking up takes.
        const LONG: u64 = 50_000;
        let start = now();
        while self.left.load(Ordering::Acquire) > 0 {
            if now() - start < LONG {
                hint::spin_loop();
            } else {
                thread::park();
            }
        }
    }
}

impl Promise {
    fn complete(&self, panic: Option<Box<dyn Any + Send>>) {
        let (extension_start, future) = (ptr::null_mut(), self.future);
        // SAFETY: the arguments are whole, and the future is completed once.
        let error = unsafe {
            match panic {
                None => {
                    let struct_size = size_of::<c_api::FutureSetAvailable>();
                    let mut arguments = c_api::FutureSetAvailable { struct_size, extension_start, future };
                    (self.api.future_set_available)(&raw mut arguments)
                }
                Some(panic) => {
                    let struct_size = size_of::<c_api::FutureSetError>();
                    let error = self.api.error(message(&*panic));
                    let mut arguments = c_api::FutureSetError { struct_size, extension_start, future, error };
                    (self.api.future_set_error)(&raw mut arguments)
                }
            }
        };
        self.api.succeeds(error);
    }
}
