#include "threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>
#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace tfl {
namespace {

// Subnormal numbers are numbers: TensorFlow's threads flush them to zero.
class ExactNumbers {
#if defined(__SSE2__)
  unsigned before_ = _mm_getcsr();

 public:
  ExactNumbers() { _mm_setcsr(before_ & ~0x8040u); }
  ~ExactNumbers() { _mm_setcsr(before_); }
#endif
};

class Memory {
 public:
  char* of(size_t bytes) {
    if (bytes > size_) {
      std::free(block_);
      size_ = (bytes + bytes / 4 + 63) & ~size_t(63);
      block_ = static_cast<char*>(std::aligned_alloc(64, size_));
    }
    return block_;
  }
  ~Memory() { std::free(block_); }

 private:
  char* block_ = nullptr;
  size_t size_ = 0;
};

struct Job {
  const std::function<void(int, int, char*)>* work;
  int count, step;
  size_t bytes;
  std::atomic<int> next{0};

  void take_part() {
    static thread_local Memory scratch;
    ExactNumbers exact;
    for (;;) {
      const int begin = next.fetch_add(step);
      if (begin >= count) return;
      (*work)(begin, std::min(count, begin + step), scratch.of(bytes));
    }
  }
};

// Threads that help with the job of the moment. One that wakes after the caller has finished finds none: no call waits for a slow waker.
class Pool {
 public:
  void run(Job& job, int helpers) {
    std::unique_lock<std::mutex> lock(mutex_);
    for (; threads_ < helpers; threads_++) std::thread([this, i = threads_] { serve(i); }).detach();
    job_ = &job;
    wanted_ = helpers;
    generation_.fetch_add(1);
    lock.unlock();
    wake_.notify_all();
    job.take_part();
    lock.lock();
    job_ = nullptr;
    lock.unlock();
    // A helper that runs is done with its piece in less; one that does not run is worth the sleep and the waking.
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(200);
    while (active_.load() > 0 && std::chrono::steady_clock::now() < end) pause();
    lock.lock();
    done_.wait(lock, [&] { return active_.load() == 0; });
  }

 private:
  // About 10 us, within which the next call often comes. Longer spins cost more than they save where cores are shared.
  static constexpr int kSpins = 300;

  static void pause() {
#if defined(__SSE2__)
    _mm_pause();
#endif
  }

  void serve(int index) {
    unsigned seen = 0;
    for (;;) {
      for (int i = 0; i < kSpins && generation_.load() == seen; i++) pause();
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return generation_.load() != seen; });
      seen = generation_.load();
      if (!job_ || index >= wanted_) continue;
      Job* job = job_;
      active_.fetch_add(1);
      lock.unlock();
      job->take_part();
      lock.lock();
      if (active_.fetch_sub(1) == 1) done_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::atomic<unsigned> generation_{0};
  std::atomic<int> active_{0};
  int threads_ = 0, wanted_ = 0;
  Job* job_ = nullptr;
};

int processors() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  return int(std::thread::hardware_concurrency());
}

std::atomic<int> threads{0};
std::mutex busy;

}  // namespace

int thread_count() {
  int count = threads.load();
  if (count > 0) return count;
  const char* wanted = std::getenv("TFJS_LINEAR_THREADS");
  count = wanted ? std::atoi(wanted) : 0;
  if (count <= 0) count = std::max(1, processors());
  threads.store(count);
  return count;
}

void set_thread_count(int count) { threads.store(std::max(1, count)); }

char* thread_memory(size_t bytes) {
  static thread_local Memory memory;
  return memory.of(bytes);
}

void share(int count, int step, size_t bytes, const std::function<void(int, int, char*)>& work) {
  Job job{&work, count, step, bytes};
  const int helpers = std::min(thread_count(), (count + step - 1) / step) - 1;
  // One call at a time has the helpers; one from another JavaScript thread meanwhile does its own work.
  std::unique_lock<std::mutex> lock(busy, std::try_to_lock);
  if (helpers <= 0 || !lock.owns_lock()) return job.take_part();
  // Never destroyed: its threads outlive everything.
  static Pool& pool = *new Pool;
  pool.run(job, helpers);
}

}  // namespace tfl
