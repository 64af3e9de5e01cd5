#include "libgenossm/jobs/head_recipe.h"

namespace genossm {

std::string layer_text(Index layer) {
  return layer == Features::kLast ? "last" : std::to_string(layer);
}

EmbedOptions embed_options(const HeadRecipe& recipe, const RunOptions& run) {
  EmbedOptions options;
  options.run = run;
  options.run.window = recipe.window;
  options.run.strand = recipe.strand;
  options.features.layers = recipe.layers;
  options.pool = recipe.pool;
  options.special_tokens = recipe.special_tokens;
  options.special_rows = recipe.special_rows;
  return options;
}

std::string recipe_json(const HeadRecipe& recipe) {
  std::string layers = "[";
  for (const Index layer : recipe.layers) {
    if (layers.size() > 1) layers += ", ";
    layers += json_text(layer_text(layer));
  }
  Provenance facts{{"layers", layers + "]"},
                   {"pool", json_text(pool_text(recipe.pool))},
                   {"strand", json_text(name_of(recipe.strand))},
                   {"special_tokens", recipe.special_tokens ? "true" : "false"},
                   {"special_rows", recipe.special_rows ? "true" : "false"},
                   {"window", std::to_string(recipe.window)}};
  if (recipe.lowercase_upper) facts.emplace_back("lowercase", json_text("upper"));
  return json_line(facts);
}

HeadRecipe read_recipe(const Json& json) {
  HeadRecipe recipe;
  recipe.layers.clear();
  const Json layers = json.array("layers");
  for (Index i = 0; i < layers.size(); ++i) {
    const std::string text = layers.at(i).as_text();
    const bool number = !text.empty() && text.size() < 6 &&
                        text.find_first_not_of("0123456789") == std::string::npos;
    if (text != "last" && !number) {
      fail(Fault::checkpoint, json.where() + ": '" + text + "' is no layer");
    }
    recipe.layers.push_back(number ? std::stoll(text) : Features::kLast);
  }
  recipe.window = json.integer("window");
  if (recipe.layers.empty() || recipe.window < 0) {
    fail(Fault::checkpoint, json.where() + ": want at least one layer, and a window from 0 on");
  }
  try {
    recipe.pool = parse_pool(json.text("pool"));
    recipe.strand = parse_strand(json.text("strand"));
  } catch (const Error& e) {
    fail(Fault::checkpoint, json.where() + ": " + e.what());
  }
  if (recipe.pool.empty()) fail(Fault::checkpoint, json.where() + ": pool is none");
  recipe.special_tokens = json.flag("special_tokens", false);
  recipe.special_rows = json.flag("special_rows", false);
  recipe.lowercase_upper = json.text("lowercase", "published") == "upper";
  return recipe;
}

}  // namespace genossm
