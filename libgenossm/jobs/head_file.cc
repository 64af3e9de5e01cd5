#include "libgenossm/jobs/head_file.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "libgenossm/base/mapped_file.h"
#include "libgenossm/base/sha256.h"
#include "libgenossm/base/text.h"
#include "libgenossm/checkpoint/safetensors.h"
#include "libgenossm/output/little.h"
#include "libgenossm/output/safetensors_file.h"
#include "libgenossm/output/unicode.h"

namespace genossm {
namespace {

constexpr const char* kFormat = "genossm-head-1";

std::string describe(const HeadFile& file) {
  std::string labels = "[";
  for (const std::string& label : file.labels) {
    if (labels.size() > 1) labels += ", ";
    labels += json_text(label);
  }
  Provenance p{{"kind", json_text(name_of(file.head.kind))},
               {"labels", labels + "]"},
               {"model", json_text(file.model)},
               {"model_sha256", json_text(file.model_sha256)},
               {"precision", json_text(file.precision)},
               {"alphabet", json_text(file.alphabet)},
               {"recipe", recipe_json(file.recipe)},
               {"shortest", std::to_string(file.shortest)},
               {"longest", std::to_string(file.longest)}};
  if (!file.test.empty()) p.emplace_back("test", file.test);
  p.insert(p.end(), file.provenance.begin(), file.provenance.end());
  return json_line(p);
}

// Over the description and all numbers: a changed bit of either changes what is predicted.
std::string digest(const std::string& description, const Head& head) {
  Sha256 sha;
  const auto add = [&](const auto& values) { sha.update(std::as_bytes(std::span(values))); };
  add(description);
  add(head.standardizer.mean), add(head.standardizer.scale);
  add(head.hidden_weight), add(head.hidden_bias);
  add(head.output_weight), add(head.output_bias);
  return sha.hex();
}

class Reader {
 public:
  explicit Reader(const std::string& path)
      : path_(path),
        file_(MappedFile::open(path)),
        header_(parse_safetensors(file_.bytes(), path)) {
    const auto format = header_.metadata.find("format");
    if (format == header_.metadata.end() || format->second != kFormat ||
        !header_.metadata.contains("head") ||
        header_.metadata.size() != 2 + header_.metadata.count("sha256")) {
      fail(Fault::checkpoint, path + ": is no head of genossm (" + kFormat +
                                  "); heads are made by genossm train-head");
    }
  }

  HeadFile read() {
    const Json json = Json::parse(header_.metadata.at("head"), path_ + ": head");
    HeadFile out;
    try {
      out.head.kind = parse_head_kind(json.text("kind"));
    } catch (const Error& e) {
      fail(Fault::checkpoint, json.where() + ": " + e.what());
    }
    const Json labels = json.array("labels");
    for (Index i = 0; i < labels.size(); ++i) out.labels.push_back(labels.at(i).as_text());
    out.model = json.text("model");
    out.model_sha256 = json.text("model_sha256");
    out.precision = json.text("precision", "");
    out.alphabet = json.text("alphabet", "acgt");
    out.recipe = read_recipe(json.object("recipe"));
    out.shortest = json.integer("shortest");
    out.longest = json.integer("longest");
    Head& head = out.head;
    const bool mlp = head.kind == HeadKind::mlp;
    take(head.standardizer.mean, "mean", DType::f64, 1);
    take(head.standardizer.scale, "scale", DType::f64, 1);
    const auto output = take(head.output_weight, "output.weight", DType::f32, 2);
    take(head.output_bias, "output.bias", DType::f32, 1);
    std::vector<Index> hidden;
    if (mlp) {
      hidden = take(head.hidden_weight, "hidden.weight", DType::f32, 2);
      take(head.hidden_bias, "hidden.bias", DType::f32, 1);
      head.hidden = static_cast<Index>(head.hidden_bias.size());
    }
    if (taken_ != header_.tensors.size()) {
      fail(Fault::checkpoint, path_ + ": holds tensors that no head has");
    }
    head.columns = static_cast<Index>(head.standardizer.mean.size());
    head.outputs = static_cast<Index>(head.output_bias.size());
    const std::vector<Index> inner{head.hidden, head.columns};
    if (output != std::vector<Index>{head.outputs, inner[mlp ? 0 : 1]} ||
        (mlp && hidden != inner)) {
      fail(Fault::checkpoint, path_ + ": the shapes of its matrices do not fit its vectors");
    }
    try {
      check_head(head);
    } catch (const Error& e) {
      fail(Fault::checkpoint, path_ + ": " + e.what());
    }
    const std::set<std::string> different(out.labels.begin(), out.labels.end());
    const bool classes = head.kind != HeadKind::ridge;
    if (out.longest < 1 || out.shortest > out.longest || different.size() != out.labels.size() ||
        out.labels.size() != (classes ? static_cast<std::size_t>(head.outputs) : 0)) {
      fail(Fault::checkpoint, path_ + ": its labels or lengths do not fit its numbers");
    }
    // Heads of the first versions have none.
    const auto sum = header_.metadata.find("sha256");
    if (sum != header_.metadata.end() && sum->second != digest(header_.metadata.at("head"), head)) {
      fail(Fault::checkpoint, path_ + ": is damaged: its SHA-256 is another one");
    }
    return out;
  }

 private:
  template <class T>
  std::vector<Index> take(std::vector<T>& out, const std::string& name, DType type,
                          std::size_t rank) {
    const auto& tensors = header_.tensors;
    const auto found = std::find_if(tensors.begin(), tensors.end(),
                                    [&](const TensorInfo& t) { return t.name == name; });
    if (found == tensors.end() || found->dtype != type || found->shape.size() != rank) {
      fail(Fault::checkpoint, path_ + ": lacks the tensor " + name + " of type " +
                                  std::string(name_of(type)) + " and " + std::to_string(rank) +
                                  (rank == 1 ? " dimension" : " dimensions"));
    }
    out.resize(static_cast<std::size_t>(found->elements()));
    const auto begin = header_.begin[static_cast<std::size_t>(found - tensors.begin())];
    if (!out.empty()) {
      std::memcpy(out.data(), file_.bytes().data() + begin, out.size() * sizeof(T));
    }
    ++taken_;
    return found->shape;
  }

  std::string path_;
  MappedFile file_;
  SafetensorsHeader header_;
  std::size_t taken_ = 0;
};

}  // namespace

void write_head(const HeadFile& file, const std::string& path, bool force) {
  const Head& head = file.head;
  check_head(head);
  const bool mlp = head.kind == HeadKind::mlp;
  const Index inner = mlp ? head.hidden : head.columns;
  std::vector<OutputTensor> tensors{
      {"mean", DType::f64, {head.columns}, bytes_of(head.standardizer.mean)},
      {"scale", DType::f64, {head.columns}, bytes_of(head.standardizer.scale)}};
  if (mlp) {
    tensors.push_back(
        {"hidden.weight", DType::f32, {head.hidden, head.columns}, bytes_of(head.hidden_weight)});
    tensors.push_back({"hidden.bias", DType::f32, {head.hidden}, bytes_of(head.hidden_bias)});
  }
  tensors.push_back(
      {"output.weight", DType::f32, {head.outputs, inner}, bytes_of(head.output_weight)});
  tensors.push_back({"output.bias", DType::f32, {head.outputs}, bytes_of(head.output_bias)});
  const std::string description = to_utf8(describe(file));
  write_safetensors(
      path, force,
      {{"format", kFormat}, {"head", description}, {"sha256", digest(description, head)}}, tensors);
}

HeadFile read_head(const std::string& path) { return Reader(path).read(); }

void require_model(const HeadFile& file, const OpenedModel& model, const std::string& path) {
  if (file.model_sha256 == model.sha256) return;
  fail(Fault::checkpoint, path + ": was trained on " + shown(file.model) + " (sha256 " +
                              shown(file.model_sha256) + "), the model is " + model.name +
                              " (sha256 " + model.sha256 +
                              "). Give the head's model by -m, or train a head for this one");
}

}  // namespace genossm
