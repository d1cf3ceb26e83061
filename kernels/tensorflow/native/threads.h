// Threads of our own that share the work of one call: TensorFlow's C API gives no way to its own.
#pragma once
#include <functional>

namespace tfl {

// Threads a call uses, the caller among them: TFJS_LINEAR_THREADS, else the processors this process may run on.
int thread_count();
void set_thread_count(int count);

// Calls work(begin, end, scratch) for pieces of 0..count of about `step`, on all threads; returns when all are done. scratch: at least `bytes`,
// aligned to 64, the thread's own.
void share(int count, int step, size_t bytes, const std::function<void(int, int, char*)>& work);

// Memory of this thread that lasts until its next call, aligned to 64.
char* thread_memory(size_t bytes);

}  // namespace tfl
