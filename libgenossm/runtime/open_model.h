// Opening a published model: checkpoint, family, tokenizer and the small things that published
// configs do not say (genossm.json), as one object on a device.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "libgenossm/checkpoint/checkpoint.h"
#include "libgenossm/model/model.h"
#include "libgenossm/tokenizer/tokenizer.h"

namespace genossm {

struct OpenedModel {
  std::string name;  // genossm.json, else the folder's name
  std::filesystem::path path;
  std::string sha256;
  Model model;
  std::optional<Tokenizer> tokenizer;  // none: only token ids can be fed
  bool lowercase_upper = false;        // lower case is read as upper case, see read_upper()
  // Bases that the model was published to see at once; 0: unlimited or not known.
  Index context = 0;
  std::string context_source;  // where that number comes from, for inspect
  // Whether probabilities are over A, C, G, T (the default) or over all tokens.
  bool alphabet_acgt = true;
  // Whether published scores begin with the tokenizer's bos().
  bool scores_bos = false;
  std::string licence;
  Index parameters = 0;
  // Of a sequence-classification checkpoint: id2label of its config, by id ("0", "1" ... where the
  // config names none), and its problem_type ("" if not said).
  std::vector<std::string> labels;
  std::string problem;
  bool scales_of_one = false;  // 8-bit scales were missing, and 1 was taken
  std::vector<std::string> warnings;
};

// Finds a model by path, or by name in the search folders; "NAME@sha256:HEX" pins the weights.
// Errors: Fault::missing with what was looked for, Fault::checkpoint.
struct ModelPath {
  std::filesystem::path path;
  std::string pin;  // lower-case hex, empty: none
};
ModelPath find_model(const std::string& name, std::span<const std::filesystem::path> folders);

// What to do with a model whose 8-bit projections lack their scales (stripedhyena2.md section 6):
// upstream computes with 1, and its predictions are then far from the published.
enum class MissingScales { refuse, one };

OpenedModel open_model(const ModelPath& where, Device& device, Precision precision,
                       MissingScales missing = MissingScales::refuse);

// Reads lower case (soft-masked bases) as upper case, whatever the model's published table does.
// Throws Fault::usage where the model has no tokenizer.
void read_upper(OpenedModel& model);

// The config of a checkpoint, the first of: its config.json; a flat .yml or .yaml beside the
// weights of their name or called config; the preset of the weights' or the folder's name; the only
// .yml or .yaml there. Fault::checkpoint where there is none.
Json config_of(const Checkpoint& checkpoint);

// The description alone: every tensor accounted for, nothing placed on a device.
ModelSpec read_spec(const Checkpoint& checkpoint);

// The same without the values of its weights, at no cost in memory: whether read_spec() would take
// the checkpoint. Errors as read_spec().
ModelSpec sketch_checkpoint(const Checkpoint& checkpoint);

// Bases that the model of that name was published to see at once (data/models.tsv); 0: not known.
Index published_context(const std::string& name);

}  // namespace genossm
