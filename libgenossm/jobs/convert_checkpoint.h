// The convert job: a supported checkpoint, whatever container it came in, as a model folder with
// its weights in one safetensors file and in one floating type.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "kernels/core/dtype.h"
#include "kernels/core/view.h"

namespace genossm {

struct ConvertOptions {
  std::filesystem::path model;  // folder or weights file
  std::string pin;              // SHA-256 that its weights must have; "": any
  std::string output;           // the folder to be made
  bool force = false;
  DType type = DType::f32;                     // f32, f16 or bf16; integers stay what they are
  std::string version;                         // written into the file's metadata; "": not
  std::function<void(Index, Index)> progress;  // bytes read so far, and in all; both passes count
};

struct ConvertReport {
  Index tensors = 0, values = 0;  // values: of floating tensors
  Index rounded = 0;              // values that the new type does not hold exactly
  Index vanished = 0;             // of these: not zero before, zero now
  Index not_finite = 0;           // NaN and infinities, which stay
  double largest_rounding = 0;    // relative, of the values that did not vanish
  Index bytes = 0;                // of the new weights file
  std::string source_sha256, sha256;
  std::vector<std::string> copied;  // files beside the weights
  std::vector<std::string> warnings;
};

// Every tensor goes through memory a piece at a time. The result is read back and compared value by
// value before it gets its name. Throws Fault::missing, Fault::checkpoint (not a supported model;
// a value beyond the new type's range; numbers that safetensors has no place for) and
// Fault::output.
ConvertReport convert_checkpoint(const ConvertOptions& options);

}  // namespace genossm
