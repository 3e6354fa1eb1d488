/* mutex_boost.cc: lock and unlock of Boost.Interprocess's mutex in shared memory: `mutex_boost PAIRS BATCHES`. */
#include <sys/mman.h>

#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>
#include <new>

#include "mutex_loop.h"

using boost::interprocess::interprocess_mutex;
using boost::interprocess::scoped_lock;

int main(int argc, char **argv) {
  void *memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    perror("Cannot map");
    return 1;
  }
  interprocess_mutex *mutex = new (memory) interprocess_mutex;
  MUTEX_LOOP(argc, argv, scoped_lock<interprocess_mutex> lock(*mutex));
  return 0;
}
