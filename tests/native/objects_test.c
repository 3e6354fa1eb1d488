/*
 * objects_test.c: every type of object: values, copies, equality, hashes, descriptions, iteration.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xpc/linux.h>

#include "harness.h"

int run_role(const char *role, char **arguments) {
  (void)role;
  (void)arguments;
  return -1;
}

static const uuid_t some_uuid = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

/* One of each type, in a dictionary. */
static xpc_object_t make_everything(void) {
  xpc_object_t all = xpc_dictionary_create(NULL, NULL, 0);
  xpc_object_t null = xpc_null_create();
  xpc_dictionary_set_value(all, "null", null);
  xpc_release(null);
  xpc_dictionary_set_bool(all, "bool", true);
  xpc_dictionary_set_int64(all, "int64", INT64_MIN);
  xpc_dictionary_set_uint64(all, "uint64", UINT64_MAX);
  xpc_dictionary_set_double(all, "double", 0.1);
  xpc_dictionary_set_date(all, "date", -5);
  xpc_dictionary_set_data(all, "data", "a\0b", 3);
  xpc_dictionary_set_string(all, "string", "größer");
  xpc_dictionary_set_uuid(all, "uuid", some_uuid);
  xpc_dictionary_set_fd(all, "fd", STDOUT_FILENO);
  xpc_object_t array = xpc_array_create_empty();
  xpc_array_set_int64(array, XPC_ARRAY_APPEND, 7);
  xpc_array_set_string(array, XPC_ARRAY_APPEND, "in an array");
  xpc_dictionary_set_value(all, "array", array);
  xpc_release(array);
  xpc_object_t inner = xpc_dictionary_create_empty();
  xpc_dictionary_set_bool(inner, "", false);
  xpc_dictionary_set_value(all, "dictionary", inner);
  xpc_release(inner);
  return all;
}

static void scalars(void) {
  xpc_object_t all = make_everything();
  CHECK(xpc_dictionary_get_count(all) == 12);
  CHECK(xpc_get_type(xpc_dictionary_get_value(all, "null")) == XPC_TYPE_NULL);
  CHECK(xpc_dictionary_get_bool(all, "bool"));
  CHECK(xpc_dictionary_get_value(all, "bool") == XPC_BOOL_TRUE);
  CHECK(xpc_dictionary_get_int64(all, "int64") == INT64_MIN);
  CHECK(xpc_dictionary_get_uint64(all, "uint64") == UINT64_MAX);
  CHECK(xpc_dictionary_get_double(all, "double") == 0.1);
  CHECK(xpc_dictionary_get_date(all, "date") == -5);
  size_t length = 0;
  const void *data = xpc_dictionary_get_data(all, "data", &length);
  CHECK(length == 3 && memcmp(data, "a\0b", 3) == 0);
  CHECK(strcmp(xpc_dictionary_get_string(all, "string"), "größer") == 0);
  CHECK(xpc_string_get_length(xpc_dictionary_get_value(all, "string")) == strlen("größer"));
  CHECK(memcmp(xpc_dictionary_get_uuid(all, "uuid"), some_uuid, 16) == 0);
  CHECK(xpc_array_get_int64(xpc_dictionary_get_array(all, "array"), 0) == 7);
  CHECK(!xpc_dictionary_get_bool(xpc_dictionary_get_dictionary(all, "dictionary"), ""));
  xpc_release(all);

  char part[] = "----";
  xpc_object_t bytes = xpc_data_create("abcdef", 6);
  CHECK(xpc_data_get_bytes(bytes, part, 4, 4) == 2 && memcmp(part, "ef--", 4) == 0);
  CHECK(xpc_data_get_bytes(bytes, part, 6, 4) == 0);
  xpc_release(bytes);
  xpc_object_t empty = xpc_data_create(NULL, 0);
  CHECK(xpc_data_get_length(empty) == 0 && xpc_data_get_bytes_ptr(empty) == NULL);
  xpc_release(empty);
  xpc_object_t text = xpc_string_create_with_format("%d-%s", 42, "x");
  CHECK(strcmp(xpc_string_get_string_ptr(text), "42-x") == 0);
  xpc_release(text);
  xpc_object_t now = xpc_date_create_from_current();
  CHECK(xpc_date_get_value(now) > 1700000000000000000);
  xpc_release(now);
}

static void wrong_types(void) {
  xpc_object_t string = xpc_string_create("x");
  CHECK(xpc_int64_get_value(string) == 0);
  CHECK(xpc_uint64_get_value(string) == 0);
  CHECK(!xpc_bool_get_value(string));
  CHECK(isnan(xpc_double_get_value(string)));
  CHECK(xpc_date_get_value(string) == 0);
  CHECK(xpc_data_get_length(string) == 0 && xpc_data_get_bytes_ptr(string) == NULL);
  CHECK(xpc_uuid_get_bytes(string) == NULL);
  CHECK(xpc_fd_dup(string) == -1);
  CHECK(xpc_array_get_count(string) == 0);
  CHECK(xpc_dictionary_get_count(string) == 0);
  CHECK(xpc_dictionary_get_value(string, "x") == NULL);
  xpc_release(string);
  xpc_object_t empty = xpc_dictionary_create_empty();
  CHECK(xpc_dictionary_get_int64(empty, "x") == 0);
  CHECK(isnan(xpc_dictionary_get_double(empty, "x")));
  size_t length = 99;
  CHECK(xpc_dictionary_get_data(empty, "x", &length) == NULL && length == 0);
  CHECK(xpc_dictionary_dup_fd(empty, "x") == -1);
  CHECK(xpc_dictionary_create_connection(empty, "x") == NULL);
  CHECK(xpc_dictionary_get_remote_connection(empty) == NULL);
  CHECK(xpc_dictionary_create_reply(empty) == NULL);
  xpc_release(empty);
  CHECK(xpc_fd_create(-1) == NULL);
}

static void copies_and_equality(void) {
  xpc_object_t a = make_everything(), b = make_everything();
  CHECK(xpc_equal(a, b));
  CHECK(xpc_hash(a) == xpc_hash(b));
  xpc_object_t copy = xpc_copy(a);
  CHECK(copy != a && xpc_equal(copy, a) && xpc_hash(copy) == xpc_hash(a));
  xpc_array_set_int64(xpc_dictionary_get_array(copy, "array"), 0, 8);
  CHECK(!xpc_equal(copy, a));
  CHECK(xpc_array_get_int64(xpc_dictionary_get_array(a, "array"), 0) == 7);
  xpc_dictionary_set_value(b, "null", NULL);
  CHECK(xpc_dictionary_get_count(b) == 11 && !xpc_equal(a, b));
  xpc_release(a);
  xpc_release(b);
  xpc_release(copy);

  xpc_object_t i = xpc_int64_create(1), u = xpc_uint64_create(1);
  CHECK(!xpc_equal(i, u));
  xpc_release(i);
  xpc_release(u);
  xpc_object_t zero = xpc_double_create(0.0), minus = xpc_double_create(-0.0);
  CHECK(xpc_equal(zero, minus) && xpc_hash(zero) == xpc_hash(minus));
  xpc_release(zero);
  xpc_release(minus);
}

static void descriptions(void) {
  xpc_object_t all = make_everything();
  char *text = xpc_copy_description(all);
  const char *const parts[] = {"<dictionary: ",
                               "\"int64\" => <int64: ",
                               "-9223372036854775808",
                               "contents = \"größer\"",
                               "0x610062",
                               "01020304-0506-0708-090A-0B0C0D0E0F10"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    if (!CHECK(strstr(text, parts[i]) != NULL)) printf("# missing %s in %s\n", parts[i], text);
  }
  free(text);
  xpc_release(all);
  xpc_connection_t listener = xpc_connection_create(NULL, NULL);
  text = xpc_copy_description(listener);
  CHECK(strstr(text, "anonymous listener") != NULL);
  free(text);
  dispatch_semaphore_t done = dispatch_semaphore_create(0);
  xpc_connection_set_event_handler(listener, ^(xpc_object_t event) {
    if (event == XPC_ERROR_CONNECTION_INVALID) dispatch_semaphore_signal(done);
  });
  xpc_connection_activate(listener);
  end_connection(listener, done);
  dispatch_release(done);
  CHECK(strcmp(xpc_type_get_name(XPC_TYPE_SHMEM), "shmem") == 0);
}

static void iteration(void) {
  xpc_object_t dictionary = xpc_dictionary_create_empty();
  for (int i = 999; i >= 0; i--) {
    char key[16];
    snprintf(key, sizeof key, "%03d", i);
    xpc_dictionary_set_int64(dictionary, key, i);
  }
  CHECK(xpc_dictionary_get_count(dictionary) == 1000);
  __block int64_t next = 0;
  CHECK(xpc_dictionary_apply(dictionary, ^bool(const char *key, xpc_object_t value) {
    CHECK(atoi(key) == next);
    return xpc_int64_get_value(value) == next++;
  }));
  CHECK(next == 1000);
  __block int calls = 0;
  CHECK(!xpc_dictionary_apply(dictionary, ^bool(const char *key, xpc_object_t value) {
    (void)key;
    (void)value;
    return ++calls < 10;
  }));
  CHECK(calls == 10);
  xpc_release(dictionary);

  xpc_object_t values[] = {xpc_int64_create(0), xpc_int64_create(1), xpc_int64_create(2)};
  xpc_object_t array = xpc_array_create(values, 3);
  for (int i = 0; i < 3; i++) xpc_release(values[i]);
  __block size_t sum = 0;
  CHECK(xpc_array_apply(array, ^bool(size_t index, xpc_object_t value) {
    sum += index * (size_t)xpc_int64_get_value(value);
    return true;
  }));
  CHECK(sum == 5);
  CHECK(xpc_array_get_value(array, 3) == NULL);
  xpc_release(array);
}

static void errors(void) {
  xpc_object_t error = (xpc_object_t)(uintptr_t)XPC_ERROR_CONNECTION_INVALID;
  CHECK(xpc_get_type(error) == XPC_TYPE_ERROR);
  CHECK(strcmp(xpc_dictionary_get_string(error, XPC_ERROR_KEY_DESCRIPTION), "Connection invalid") == 0);
  xpc_retain(error); /* of no effect on constants, in any number */
  for (int i = 0; i < 3; i++) xpc_release(error);
  CHECK(xpc_copy(error) == NULL);
  char *text = xpc_copy_description(error);
  CHECK(strstr(text, "Connection invalid") != NULL);
  free(text);
}

static void descriptors(void) {
  size_t before = count_fds();
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  xpc_object_t fd = xpc_fd_create(ends[1]);
  close(ends[1]);
  int copy = xpc_fd_dup(fd);
  CHECK(copy >= 0 && (fcntl(copy, F_GETFD) & FD_CLOEXEC));
  CHECK(write(copy, "x", 1) == 1);
  close(copy);
  xpc_release(fd);
  char byte;
  CHECK(read(ends[0], &byte, 1) == 1 && byte == 'x');
  CHECK(read(ends[0], &byte, 1) == 0); /* all writers are gone */
  close(ends[0]);
  CHECK(count_fds() == before);
}

static void shared_memory(void) {
  size_t fds = count_fds();
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *first = xpc_linux_shmem_allocate(page + 1), *second = NULL;
  REQUIRE(first != NULL);
  xpc_object_t box = xpc_shmem_create(first, page + 1);
  strcpy(first + page, "shared");
  CHECK(xpc_shmem_map(box, (void **)&second) == 2 * page);
  CHECK(second && second != first && strcmp(second + page, "shared") == 0);
  CHECK(xpc_linux_shmem_deallocate(first + page, page) == -1);
  CHECK(xpc_linux_shmem_deallocate(first, page + 1) == 0);
  strcpy(second + page, "lives on");
  char *third = NULL;
  CHECK(xpc_shmem_map(box, (void **)&third) == 2 * page && strcmp(third + page, "lives on") == 0);
  munmap(second, 2 * page);
  munmap(third, 2 * page);
  xpc_release(box);
  CHECK(count_fds() == fds);
}

const struct test tests[] = {
  {"objects: a value of each type comes back", scalars},
  {"objects: getters of another type give nothing", wrong_types},
  {"objects: copies are deep, equal content is equal", copies_and_equality},
  {"objects: descriptions name types and values", descriptions},
  {"objects: apply goes through all, in order, until told to stop", iteration},
  {"objects: errors are constants with a description", errors},
  {"objects: descriptors are duplicated both ways", descriptors},
  {"objects: shared memory outlives its first mapping", shared_memory},
  {NULL, NULL},
};
