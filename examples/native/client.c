/* An app in C that writes a scene of the server and takes frames of its video. */
#include <stdio.h>
#include <string.h>
#include <xpc_shmem.h>

int main(void) {
  xshm_error error;
  xshm_client *client = xshm_connect("com.example.native", 10000, &error);
  if (!client) return fprintf(stderr, "%s\n", error.message), 1;
  xshm_region *scene = xshm_open(client, "scene", XSHM_WRITE, &error);
  xshm_stream *video = xshm_stream_open(client, "video", &error);
  if (!scene || !video) return fprintf(stderr, "%s\n", error.message), 1;

  switch (xshm_lock(scene, 1000)) {
    case XSHM_ABANDONED: printf("the last holder died; the scene is written anew\n"); break;
    case XSHM_OK: break;
    default: return fprintf(stderr, "cannot lock the scene\n"), 1;
  }
  (void)snprintf(xshm_region_data(scene), xshm_region_length(scene), "hello from C");
  (void)xshm_commit(scene);
  (void)xshm_unlock(scene);

  for (int taken = 0; taken < 3;) {
    xshm_frame frame;
    int result = xshm_stream_wait(video, 10000, 50);
    if (result != XSHM_OK) return fprintf(stderr, "no frame: %d\n", result), 1;
    if (xshm_stream_latest(video, &frame) != XSHM_OK) continue;
    printf("frame of %zu bytes\n", frame.length);
    xshm_stream_release(video, &frame);
    taken++;
  }
  xshm_close(client);
  return 0;
}
