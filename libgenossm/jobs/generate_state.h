// GenerateState: where a generated sequence goes on: the model's state, the base that it has not
// read yet, and what its draws depend on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "libgenossm/runtime/open_model.h"
#include "libgenossm/runtime/session.h"

namespace genossm {

struct GenerateState {
  State state;
  std::int32_t last = 0;  // token
  std::uint64_t seed = 0, sequence = 0;
};

// Little-endian, with a magic word, the model's checksum and its precision.
std::string bytes_of(const GenerateState& state, const OpenedModel& model);
// Throws Fault::input for anything but a state of this model.
GenerateState parse_generate_state(std::string_view bytes, const OpenedModel& model,
                                   const std::string& name);

}  // namespace genossm
