/* An app in C that serves a scene and a video. Run it after a Deno app with a broker, or after `deno task agent`. */
#include <stdio.h>
#include <string.h>
#include <xpc_shmem.h>

int main(void) {
  xshm_error error;
  const xshm_region_options regions[] = {{.name = "scene", .length = 4096, .clients = XSHM_WRITE}, {0}};
  const xshm_stream_options streams[] = {{.name = "video", .length = 1 << 20}, {0}};
  xshm_server *server =
    xshm_serve("com.example.native", &(xshm_service){.regions = regions, .streams = streams}, &error);
  if (!server) return fprintf(stderr, "%s\n", error.message), 1;
  printf("serving\n");
  (void)fflush(stdout);

  /* Waits for what a client writes. */
  xshm_region *scene = xshm_server_region(server, "scene");
  uint64_t revision = 0;
  if (xshm_wait(scene, revision, -1, 50, &revision) != XSHM_OK) return 1;
  int locked = xshm_lock(scene, 1000);
  if (locked != XSHM_OK && locked != XSHM_ABANDONED) return 1;
  printf("a client wrote: %.100s\n", (const char *)xshm_region_data(scene));
  xshm_unlock(scene);

  /* Publishes frames until the client has gone. */
  xshm_stream *video = xshm_server_stream(server, "video");
  for (int number = 1; xshm_server_clients(server) > 0; number++) {
    xshm_frame frame;
    if (xshm_stream_loan(video, &frame) == XSHM_OK) {
      memset(frame.data, number, 1000);
      frame.length = 1000;
      xshm_stream_publish(video, &frame);
    }
    (void)xshm_wait(scene, revision, 10, 0, NULL); /* paces the frames */
  }
  xshm_close(server);
  return 0;
}
