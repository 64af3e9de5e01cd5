// The pickle inside a PyTorch zip file (data.pkl), read by a machine that knows what a dictionary
// of tensors is made of and nothing else.
//
// Pickle is a program for a stack machine; Python's version of it can call any function. This one
// calls nothing: a global is only a name, and REDUCE means something for the few names of
// torch_globals.h. Names off that list, and opcodes that torch.save never writes, are refused with
// their byte. Values lie in flat arrays and refer to each other by number, so cycles and depth are
// harmless; all sizes are bounded.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/core/dtype.h"
#include "libgenossm/base/checked.h"

namespace genossm {

// A member of the archive that holds the bytes of a storage: <root>/data/<key>.
struct TorchStorage {
  std::string key;
  std::uint64_t size = 0;  // bytes
};

struct TorchTensor {
  std::string name;
  DType dtype = DType::f32;
  std::size_t storage = 0;  // index into the storages
  Index offset = 0;         // of element [0, ...], in elements
  std::vector<Index> size, stride;
};

// Bytes that the file keeps under a name, a file within the file: a BytesIO object.
struct TorchBlob {
  std::string name;
  std::vector<std::byte> bytes;
};

struct StateDict {
  std::vector<TorchTensor> tensors;  // in the order of the file; every element lies in its storage
  std::vector<TorchBlob> blobs;
  std::vector<std::string> warnings;
};

// `storages` sorted by key. The tensors are those of the top-level dictionary, or of its
// "state_dict", "model", "module" or "model_state_dict"; entries that are neither tensors nor
// blobs are passed over. Throws Error{Fault::checkpoint}. A pure function of its arguments.
StateDict read_torch_pickle(Bytes pickle, const std::vector<TorchStorage>& storages,
                            const std::string& origin);

}  // namespace genossm
