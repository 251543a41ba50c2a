// Compiles programs for a GPU that need not be there, with XLA's CUDA plugin alone.
//
//   ahead PLUGIN TARGET TOPOLOGY
//
// TARGET is a file with an xla.gpu.GpuTargetConfigProto as text, TOPOLOGY the numbers of slices, hosts and GPUs, as 1x1x1.
// For every line of stdin, the names of two files, a program (in HLO, or in StableHLO if it ends in .mlir) and its
// xla.CompileOptionsProto, it prints a line:
//   ok SECONDS ARGUMENTS RESULTS ALIASED TEMPORARY (in bytes), or
//   failed REASON
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "xla/pjrt/c/pjrt_c_api.h"

static const PJRT_Api* api;

static void die(const char* what, const char* why) {
  fprintf(stderr, "ahead: %s: %s\n", what, why);
  exit(2);
}

static char* read_file(const char* path, size_t* size) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) die(path, "cannot be read");
  char* bytes = NULL;
  FILE* all = open_memstream(&bytes, size);
  char piece[1 << 16];
  for (size_t n; (n = fread(piece, 1, sizeof piece, file)) > 0;) fwrite(piece, 1, n, all);
  fclose(all);
  fclose(file);
  return bytes;
}

// The message of an error, on one line, or null for success.
static char* message(PJRT_Error* error) {
  if (error == NULL) return NULL;
  PJRT_Error_Message_Args args = {.struct_size = PJRT_Error_Message_Args_STRUCT_SIZE, .error = error};
  api->PJRT_Error_Message(&args);
  char* text = strndup(args.message, args.message_size);
  for (char* at = text; *at != 0; ++at) {
    if (*at == '\n') *at = ' ';
  }
  return text;
}

static void check(const char* what, PJRT_Error* error) {
  if (error != NULL) die(what, message(error));
}

static PJRT_NamedValue text_option(const char* name, const char* value, size_t size) {
  return (PJRT_NamedValue){.struct_size = PJRT_NamedValue_STRUCT_SIZE,
                           .name = name,
                           .name_size = strlen(name),
                           .type = PJRT_NamedValue_kString,
                           .string_value = value,
                           .value_size = size};
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

static void compile(const PJRT_TopologyDescription* topology, const char* path, const char* options) {
  PJRT_Program program = {.struct_size = PJRT_Program_STRUCT_SIZE, .format = "hlo"};
  const char* ending = strrchr(path, '.');
  if (ending != NULL && strcmp(ending, ".mlir") == 0) program.format = "mlir";
  program.format_size = strlen(program.format);
  program.code = read_file(path, &program.code_size);
  PJRT_Compile_Args args = {.struct_size = PJRT_Compile_Args_STRUCT_SIZE, .topology = topology, .program = &program};
  args.compile_options = read_file(options, &args.compile_options_size);
  double start = now();
  char* failure = message(api->PJRT_Compile(&args));
  double seconds = now() - start;
  if (failure != NULL) {
    printf("failed %s\n", failure);
    return;
  }
  PJRT_Executable_GetCompiledMemoryStats_Args bytes = {
      .struct_size = PJRT_Executable_GetCompiledMemoryStats_Args_STRUCT_SIZE, .executable = args.executable};
  check("memory", api->PJRT_Executable_GetCompiledMemoryStats(&bytes));
  printf("ok %.2f %lld %lld %lld %lld\n", seconds, (long long)bytes.argument_size_in_bytes,
         (long long)bytes.output_size_in_bytes, (long long)bytes.alias_size_in_bytes,
         (long long)bytes.temp_size_in_bytes);
  PJRT_Executable_Destroy_Args destroy = {.struct_size = PJRT_Executable_Destroy_Args_STRUCT_SIZE,
                                          .executable = args.executable};
  check("destroy", api->PJRT_Executable_Destroy(&destroy));
}

int main(int count, char** words) {
  if (count != 4) die("usage", "ahead PLUGIN TARGET TOPOLOGY");
  void* library = dlopen(words[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) die("plugin", dlerror());
  api = ((const PJRT_Api* (*)(void))dlsym(library, "GetPjrtApi"))();
  PJRT_Plugin_Initialize_Args start = {.struct_size = PJRT_Plugin_Initialize_Args_STRUCT_SIZE};
  check("plugin", api->PJRT_Plugin_Initialize(&start));
  size_t size;
  const char* target = read_file(words[2], &size);
  PJRT_NamedValue options[] = {text_option("target_config", target, size),
                               text_option("topology", words[3], strlen(words[3]))};
  PJRT_TopologyDescription_Create_Args topology = {.struct_size = PJRT_TopologyDescription_Create_Args_STRUCT_SIZE,
                                                   .topology_name = "",
                                                   .create_options = options,
                                                   .num_options = sizeof options / sizeof *options};
  check("topology", api->PJRT_TopologyDescription_Create(&topology));
  char program[4096], compile_options[4096];
  while (scanf("%4095s %4095s", program, compile_options) == 2) {
    compile(topology.topology, program, compile_options);
    fflush(stdout);
  }
  return 0;
}
