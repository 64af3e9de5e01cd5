// HeadRecipe: how a sequence becomes the features of a head. It stands in the head file, so that
// what is classified is read as what was trained on.
#pragma once

#include <vector>

#include "libgenossm/jobs/embed.h"

namespace genossm {

struct HeadRecipe {
  std::vector<Index> layers{Features::kLast};
  PoolParts pool{PoolPart{}};
  StrandMode strand = StrandMode::forward;
  bool special_tokens = false;
  bool special_rows = false;     // rows of special tokens are pooled too (published heads)
  bool lowercase_upper = false;  // see read_upper()
  Index window = 0;              // bases that the model sees at once; 0: the whole sequence
};

// Options that make embed() follow the recipe.
EmbedOptions embed_options(const HeadRecipe& recipe, const RunOptions& run);

// One line of JSON and back; the order of keys is fixed. Errors of the second: Fault::checkpoint.
std::string recipe_json(const HeadRecipe& recipe);
HeadRecipe read_recipe(const Json& json);

std::string layer_text(Index layer);  // "last", "3"

}  // namespace genossm
