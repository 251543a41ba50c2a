// A PJRT plugin that takes the place of CUDA's: it records every program that it is given to compile, with the options,
// as 0000.hlo and 0000.options and so on in the folder $RECORDER_FOLDER. The executable that it returns takes and
// returns arrays of the program's shapes, all ones, so that the caller goes on to the next program. Otherwise it is the
// CPU plugin $RECORDER_PLUGIN under another name. Each of several processes writes into its own subfolder, named by its
// number; they greet each other through the store that they were given, as CUDA's plugin does to list all devices.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xla/pjrt/c/pjrt_c_api.h"

static const PJRT_Api* cpu;
static PJRT_Api recorder;

static void die(const char* what, const char* why) {
  fprintf(stderr, "recorder: %s: %s\n", what, why);
  exit(2);
}

static const char* setting(const char* name) {
  const char* value = getenv(name);
  if (value == NULL) die(name, "is not set");
  return value;
}

// The number of processes that share a program, and the number of this one.
static int nodes = 1, node = 0;

static void write_down(int number, const char* kind, const char* bytes, size_t size) {
  char path[4096], own[32] = "";
  if (nodes > 1) snprintf(own, sizeof own, "/%d", node);
  snprintf(path, sizeof path, "%s%s/%04d.%s", setting("RECORDER_FOLDER"), own, number, kind);
  FILE* file = fopen(path, "wb");
  if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) die(path, "cannot be written");
}

// Protocol buffers, as far as needed to find the shapes of a program.

typedef struct {
  const uint8_t *at, *end;
} Message;

static uint64_t varint(Message* m) {
  uint64_t value = 0;
  for (int shift = 0; m->at < m->end && shift < 64; shift += 7) {
    uint8_t byte = *m->at++;
    value |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) return value;
  }
  die("program", "is cut short");
  return 0;
}

// The next field: its number, and its contents or its value. 0 at the end.
static uint64_t next_field(Message* m, Message* contents, uint64_t* value) {
  if (m->at == m->end) return 0;
  uint64_t key = varint(m);
  size_t size = 0;
  switch (key & 7) {
    case 0: *value = varint(m); return key >> 3;
    case 1: size = 8; break;
    case 2: size = varint(m); break;
    case 5: size = 4; break;
    default: die("program", "is none");
  }
  if (size > (size_t)(m->end - m->at)) die("program", "is cut short");
  *contents = (Message){m->at, m->at + size};
  m->at += size;
  return key >> 3;
}

// The `number`-th message, from 0, among those in a field; whether it is there.
static bool find(Message m, uint64_t field, int number, Message* found) {
  uint64_t value, at;
  while ((at = next_field(&m, found, &value)) != 0) {
    if (at == field && number-- == 0) return true;
  }
  return false;
}

// xla.HloModuleProto.host_program_shape, and within it xla.ProgramShapeProto.
enum { PROGRAM_SHAPE = 4, PARAMETERS = 1, RESULT = 2, TUPLE_SHAPES = 4 };

// xla.ShapeProto as a type of MLIR, and the number one of that type.
static void put_type(FILE* out, Message shape, const char** one) {
  static const char* const names[] = {[1] = "i1",   [2] = "i8",    [3] = "i16",  [4] = "i32",  [5] = "i64",
                                      [6] = "ui8",  [7] = "ui16",  [8] = "ui32", [9] = "ui64", [10] = "f16",
                                      [11] = "f32", [12] = "f64", [16] = "bf16"};
  Message contents;
  uint64_t value, field, type = 0;
  fputs("tensor<", out);
  while ((field = next_field(&shape, &contents, &value)) != 0) {
    if (field == 2) type = value;
    if (field == 3) {
      while (contents.at < contents.end) fprintf(out, "%llux", (unsigned long long)varint(&contents));
    }
  }
  if (type >= sizeof names / sizeof *names || names[type] == NULL) die("program", "has a type that is not known");
  fprintf(out, "%s>", names[type]);
  *one = type == 1 ? "true" : names[type][0] == 'f' || names[type][0] == 'b' ? "1.0" : "1";
}

// A program in MLIR with the shapes of `module`, whose results are ones.
static char* stand_in(Message module, size_t* size) {
  char* text;
  FILE* out = open_memstream(&text, size);
  const char* one;
  Message program, result, shape;
  if (!find(module, PROGRAM_SHAPE, 0, &program) || !find(program, RESULT, 0, &result)) die("program", "has no shape");
  fputs("module @stand_in {\nfunc.func public @main(", out);
  for (int i = 0; find(program, PARAMETERS, i, &shape); ++i) {
    fprintf(out, "%s%%a%d: ", i == 0 ? "" : ", ", i);
    put_type(out, shape, &one);
  }
  fputs(") -> (", out);
  int results = 0;
  for (; find(result, TUPLE_SHAPES, results, &shape); ++results) {
    if (results != 0) fputs(", ", out);
    put_type(out, shape, &one);
  }
  fputs(") {\n", out);
  for (int i = 0; i < results; ++i) {
    find(result, TUPLE_SHAPES, i, &shape);
    // The type is used twice, so its parts are declared first.
    char* type;
    size_t length;
    FILE* memory = open_memstream(&type, &length);
    put_type(memory, shape, &one);
    fclose(memory);
    fprintf(out, "%%r%d = stablehlo.constant dense<%s> : %s\n", i, one, type);
    free(type);
  }
  fputs("return ", out);
  for (int i = 0; i < results; ++i) fprintf(out, "%s%%r%d", i == 0 ? "" : ", ", i);
  fputs(" : ", out);
  for (int i = 0; i < results; ++i) {
    find(result, TUPLE_SHAPES, i, &shape);
    if (i != 0) fputs(", ", out);
    put_type(out, shape, &one);
  }
  fputs("\n}\n}\n", out);
  fclose(out);
  return text;
}

static PJRT_Error* compile(PJRT_Client_Compile_Args* args) {
  static int number;
  write_down(number, "hlo", args->program->code, args->program->code_size);
  write_down(number, "options", args->compile_options, args->compile_options_size);
  ++number;
  const uint8_t* code = (const uint8_t*)args->program->code;
  PJRT_Program program = *args->program;
  program.format = "mlir";
  program.format_size = strlen(program.format);
  program.code = stand_in((Message){code, code + program.code_size}, &program.code_size);
  PJRT_Client_Compile_Args ours = *args;
  ours.program = &program;
  // The stand-in runs in this process alone: executable_build_options with one replica and one partition.
  static const char alone[] = "\x1a\x04\x20\x01\x28\x01";
  if (nodes > 1) {
    ours.compile_options = alone;
    ours.compile_options_size = sizeof alone - 1;
  }
  PJRT_Error* error = cpu->PJRT_Client_Compile(&ours);
  args->executable = ours.executable;
  free(program.code);
  return error;
}

static PJRT_Error* refuse(PJRT_Error_Code code, const char* message, size_t size) {
  fprintf(stderr, "recorder: the store: %.*s (%d)\n", (int)size, message, (int)code);
  exit(2);
}

// Each process sets its own key and reads the keys of all others.
static void greet(PJRT_Client_Create_Args* args) {
  PJRT_CallbackError refused = refuse;
  char key[32], value[32];
  PJRT_KeyValuePutCallback_Args put = {.struct_size = PJRT_KeyValuePutCallback_Args_STRUCT_SIZE};
  put.key = key, put.key_size = (size_t)snprintf(key, sizeof key, "greeting/%d", node);
  put.value = value, put.value_size = (size_t)snprintf(value, sizeof value, "from %d of %d", node, nodes);
  put.callback_error = &refused, put.user_arg = args->kv_put_user_arg;
  args->kv_put_callback(&put);
  for (int other = 0; other < nodes; ++other) {
    PJRT_KeyValueGetCallback_Args get = {.struct_size = PJRT_KeyValueGetCallback_Args_STRUCT_SIZE};
    get.key = key, get.key_size = (size_t)snprintf(key, sizeof key, "greeting/%d", other);
    get.timeout_in_ms = 60000, get.callback_error = &refused, get.user_arg = args->kv_get_user_arg;
    args->kv_get_callback(&get);
    const size_t size = (size_t)snprintf(value, sizeof value, "from %d of %d", other, nodes);
    if (get.value_size != size || memcmp(get.value, value, size) != 0) die("the store", "holds another value");
    get.value_deleter_callback(get.value);
  }
}

// The options of CUDA's plugin, which the CPU's does not know, are recorded too.
static PJRT_Error* create(PJRT_Client_Create_Args* args) {
  char* text;
  size_t size;
  FILE* out = open_memstream(&text, &size);
  for (size_t i = 0; i < args->num_options; ++i) {
    const PJRT_NamedValue* option = &args->create_options[i];
    fprintf(out, "%.*s\n", (int)option->name_size, option->name);
    if (option->type != PJRT_NamedValue_kInt64) continue;
    if (strncmp(option->name, "num_nodes", option->name_size) == 0) nodes = (int)option->int64_value;
    if (strncmp(option->name, "node_id", option->name_size) == 0) node = (int)option->int64_value;
  }
  if (nodes > 1) greet(args);
  fclose(out);
  write_down(0, "client", text, size);
  free(text);
  PJRT_Client_Create_Args ours = *args;
  ours.num_options = 0;
  PJRT_Error* error = cpu->PJRT_Client_Create(&ours);
  args->client = ours.client;
  return error;
}

static PJRT_Error* platform_name(PJRT_Client_PlatformName_Args* args) {
  PJRT_Error* error = cpu->PJRT_Client_PlatformName(args);
  args->platform_name = "cuda";
  args->platform_name_size = strlen(args->platform_name);
  return error;
}

const PJRT_Api* GetPjrtApi(void) {
  if (cpu == NULL) {
    void* library = dlopen(setting("RECORDER_PLUGIN"), RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) die("CPU plugin", dlerror());
    cpu = ((const PJRT_Api* (*)(void))dlsym(library, "GetPjrtApi"))();
    memcpy(&recorder, cpu, cpu->struct_size < sizeof recorder ? cpu->struct_size : sizeof recorder);
    recorder.struct_size = sizeof recorder;
    recorder.PJRT_Client_Compile = compile;
    recorder.PJRT_Client_Create = create;
    recorder.PJRT_Client_PlatformName = platform_name;
  }
  return &recorder;
}
