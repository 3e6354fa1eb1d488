/* mutex_pthread.c: what Boost's mutex is made of, where there is no Boost: `mutex_pthread PAIRS BATCHES`. */
#include <pthread.h>
#include <sys/mman.h>

#include "mutex_loop.h"

int main(int argc, char **argv) {
  pthread_mutex_t *mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (mutex == MAP_FAILED) {
    perror("Cannot map");
    return 1;
  }
  pthread_mutexattr_t attributes;
  if (pthread_mutexattr_init(&attributes) != 0 ||
      pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) != 0 ||
      pthread_mutex_init(mutex, &attributes) != 0) {
    fprintf(stderr, "Cannot make a mutex\n");
    return 1;
  }
  MUTEX_LOOP(argc, argv, (void)pthread_mutex_lock(mutex); (void)pthread_mutex_unlock(mutex));
  return 0;
}
