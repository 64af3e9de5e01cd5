#include "libgenossm/checkpoint/torch_globals.h"

#include <algorithm>
#include <array>

namespace genossm {
namespace {

struct Row {
  std::string_view module, name;
  TorchName meaning;
};

using enum TorchGlobal;

constexpr std::array kRows = {
    Row{"torch._utils", "_rebuild_tensor_v2", {rebuild_tensor}},
    Row{"torch._utils", "_rebuild_tensor_v3", {rebuild_tensor_v3}},
    Row{"torch._utils", "_rebuild_parameter", {rebuild_parameter}},
    Row{"collections", "OrderedDict", {ordered_dict}},
    Row{"collections", "defaultdict", {default_dict}},
    Row{"torch", "DoubleStorage", {storage, DType::f64}},
    Row{"torch", "FloatStorage", {storage, DType::f32}},
    Row{"torch", "HalfStorage", {storage, DType::f16}},
    Row{"torch", "BFloat16Storage", {storage, DType::bf16}},
    Row{"torch", "LongStorage", {storage, DType::i64}},
    Row{"torch", "IntStorage", {storage, DType::i32}},
    Row{"torch", "ShortStorage", {storage, DType::i16}},
    Row{"torch", "CharStorage", {storage, DType::i8}},
    Row{"torch", "ByteStorage", {storage, DType::u8}},
    Row{"torch", "BoolStorage", {storage, DType::boolean}},
    Row{"torch", "UntypedStorage", {untyped_storage, DType::u8}},
    Row{"torch.storage", "UntypedStorage", {untyped_storage, DType::u8}},
    Row{"torch", "float64", {dtype, DType::f64}},
    Row{"torch", "float32", {dtype, DType::f32}},
    Row{"torch", "float16", {dtype, DType::f16}},
    Row{"torch", "bfloat16", {dtype, DType::bf16}},
    Row{"torch", "int64", {dtype, DType::i64}},
    Row{"torch", "int32", {dtype, DType::i32}},
    Row{"torch", "int16", {dtype, DType::i16}},
    Row{"torch", "int8", {dtype, DType::i8}},
    Row{"torch", "uint8", {dtype, DType::u8}},
    Row{"torch", "bool", {dtype, DType::boolean}},
    Row{"torch", "Size", {size}},
    Row{"torch", "device", {quiet}},
    Row{"_codecs", "encode", {encode}},
    Row{"typing", "Any", {opaque}},
    Row{"_io", "BytesIO", {bytes_io}},
    Row{"argparse", "Namespace", {opaque}},
    Row{"pathlib", "PosixPath", {opaque}},
};

// Types whose call makes a plain value. No functions: getattr and eval live in the same module.
constexpr std::array<std::string_view, 12> kBuiltinTypes = {
    "bool",      "bytearray", "bytes", "complex", "dict", "float",
    "frozenset", "int",       "list",  "long",    "set",  "tuple"};

// Packages whose classes published checkpoints keep beside the weights.
constexpr std::array<std::string_view, 2> kOpaquePackages = {"omegaconf",
                                                             "transformer_engine.common.recipe"};

bool belongs_to(std::string_view module, std::string_view package) {
  return module.starts_with(package) &&
         (module.size() == package.size() || module[package.size()] == '.');
}

}  // namespace

std::optional<TorchName> find_torch_global(std::string_view module, std::string_view name) {
  for (const Row& row : kRows) {
    if (row.module == module && row.name == name) return row.meaning;
  }
  if (module == "builtins" || module == "__builtin__") {
    if (std::find(kBuiltinTypes.begin(), kBuiltinTypes.end(), name) == kBuiltinTypes.end()) {
      return std::nullopt;
    }
    return TorchName{quiet};
  }
  for (const std::string_view package : kOpaquePackages) {
    if (belongs_to(module, package)) return TorchName{opaque};
  }
  return std::nullopt;
}

}  // namespace genossm
