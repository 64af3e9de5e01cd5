// The names that a pickle of weights may use. A name is never imported and never called; this table
// says what each one stands for.
#pragma once

#include <optional>
#include <string_view>

#include "kernels/core/dtype.h"

namespace genossm {

enum class TorchGlobal {
  rebuild_tensor,     // torch._utils._rebuild_tensor_v2
  rebuild_tensor_v3,  // the same over an untyped storage, with the dtype as last argument
  rebuild_parameter,
  ordered_dict,
  default_dict,
  storage,  // torch.FloatStorage and its like; `dtype` says which
  untyped_storage,
  dtype,     // torch.float32 and its like
  size,      // torch.Size: its only argument, a tuple
  encode,    // _codecs.encode: bytes as protocol 2 writes them, a text and the name latin1
  bytes_io,  // _io.BytesIO: holds bytes, set by BUILD
  quiet,     // makes a value that no weight can need and that is not worth a word
  opaque,    // makes a value of a class that is not known here; kept unread, with a warning
};

struct TorchName {
  TorchGlobal what;
  DType dtype = DType::f32;
};

// None: off the list, and the file that uses it is refused.
std::optional<TorchName> find_torch_global(std::string_view module, std::string_view name);

}  // namespace genossm
