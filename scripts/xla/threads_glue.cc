// A step of training is a few long operations with short ones between them, which one thread does while the others have
// nothing to do. XLA's threads look for work for some 30 microseconds and then sleep, and to wake one takes longer than
// many an operation. This is the function where they go to sleep. The linker script lists this library before XLA's, so
// this definition is the one that is used: they look on for a while first.
#include <dlfcn.h>
#include <sched.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

namespace {

// Longer than what one thread does alone between two operations that all have a part in, most of the time.
constexpr auto kPatience = std::chrono::microseconds(200);

// Eigen's pool and one of its waiters, of which nothing needs to be known here.
struct Pool;
struct Waiter;

// A task, laid out as tsl/platform/threadpool.cc has it in the wheel that is pinned: work, if there is any.
struct Work {
  std::function<void()> f;
  struct {
  } context;
  uint64_t trace_id;
};
using Task = std::optional<Work>;

}  // namespace

#define POOL "_ZN5Eigen15ThreadPoolTemplIN3tsl6thread16EigenEnvironmentEE"
#define MAYBE_GET_TASK POOL "12MaybeGetTaskEPNS3_4TaskE"
#define WAIT_FOR_WORK POOL "11WaitForWorkEPNS_10EventCount6WaiterEPNS3_4TaskE"

extern "C" void MaybeGetTask(Pool* pool, Task* task) __asm__(MAYBE_GET_TASK);
extern "C" bool WaitForWork(Pool* pool, Waiter* waiter, Task* task) __asm__(WAIT_FOR_WORK);

bool WaitForWork(Pool* pool, Waiter* waiter, Task* task) {
  static const auto xlas = reinterpret_cast<decltype(&WaitForWork)>(dlsym(RTLD_NEXT, WAIT_FOR_WORK));
  const auto until = std::chrono::steady_clock::now() + kPatience;
  do {
    MaybeGetTask(pool, task);
    if (task->has_value()) return true;
    // Another thread may have work that is not a task of this pool.
    sched_yield();
  } while (std::chrono::steady_clock::now() < until);
  return xlas(pool, waiter, task);
}
