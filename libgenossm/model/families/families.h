// Families: one file per published family, without arithmetic. Each recognises its config.json,
// reads the sizes from it and names the tensors. families() is a plain array in order of asking.
#pragma once

#include <span>
#include <string_view>

#include "kernels/core/error.h"
#include "libgenossm/base/json.h"
#include "libgenossm/checkpoint/binder.h"
#include "libgenossm/model/spec.h"

namespace genossm {

struct Family {
  std::string_view name;
  // Whether config.json is of this family.
  bool (*claims)(const Json& config);
  // Sizes and switches from config.json, and the tensors by name through the binder. The binder
  // also answers which names the file holds, where published layouts differ.
  ModelSpec (*describe)(const Json& config, Binder& tensors);
  // The prefix that training frameworks put before every name, to be stripped where a file has it.
  std::string_view stray_prefix;
};

std::span<const Family> families();

// The family of a config; Fault::checkpoint with the list of supported ones if there is none.
const Family& family_of(const Json& config);

extern const Family mamba_family;
extern const Family mamba_hf_family;
extern const Family caduceus_family;
extern const Family hyenadna_family;
extern const Family stripedhyena_family;
extern const Family stripedhyena2_family;

}  // namespace genossm
