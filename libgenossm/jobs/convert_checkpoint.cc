#include "libgenossm/jobs/convert_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/core/buffer.h"
#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/checkpoint/convert.h"
#include "libgenossm/jobs/job.h"
#include "libgenossm/output/atomic_file.h"
#include "libgenossm/output/atomic_folder.h"
#include "libgenossm/output/safetensors_file.h"
#include "libgenossm/runtime/open_model.h"

namespace genossm {
namespace {

namespace fs = std::filesystem;

constexpr Index kPiece = Index{1} << 22;  // values

// What a published folder holds beside the weights and says something of the model. config.json and
// genossm.json are taken care of apart.
constexpr const char* kBeside[] = {"tokenizer.json",
                                   "tokenizer_config.json",
                                   "special_tokens_map.json",
                                   "added_tokens.json",
                                   "vocab.json",
                                   "vocab.txt",
                                   "generation_config.json",
                                   "MODEL_CARD.md",
                                   "README.md",
                                   "LICENSE",
                                   "LICENSE.txt",
                                   "LICENSE.md",
                                   "NOTICE"};

float rounded(float value, DType type) {
  return type == DType::f16    ? f16_to_f32(f32_to_f16(value))
         : type == DType::bf16 ? bf16_to_f32(f32_to_bf16(value))
                               : value;
}

// The values of one tensor from front to back as float32, a piece at a time.
class Pieces {
 public:
  Pieces(const Checkpoint& checkpoint, std::size_t i)
      : info_(checkpoint.tensors()[i]), place_(checkpoint.source().place(i)) {
    if (place_) return;
    all_ = Buffer<float>(info_.elements());
    checkpoint.source().read_f32(i, {all_.data(), static_cast<std::size_t>(all_.size())});
  }

  // Calls each(values, count) until all of them were seen.
  template <class Each>
  void run(Each each) {
    const Index n = info_.elements(), width = size_of(info_.dtype);
    if (!place_) {
      for (Index done = 0; done < n; done += kPiece) {
        each(all_.data() + done, std::min(kPiece, n - done));
      }
      return;
    }
    Buffer<float> piece(std::min(kPiece, n));
    for (Index done = 0; done < n; done += kPiece) {
      const Index count = std::min(kPiece, n - done);
      const std::byte* from = place_->data + done * width;
      place_->file.check_unchanged();
      convert_to_f32(info_.dtype, from, 1, count, piece.data());
      each(piece.data(), count);
      place_->file.not_needed({from, static_cast<std::size_t>(count * width)});
    }
  }

 private:
  const TensorInfo& info_;
  std::optional<TensorSource::Place> place_;
  Buffer<float> all_;  // where the tensor does not lie in one piece
};

// The elements of an integer tensor as bytes of its own type.
std::string integer_bytes(const Checkpoint& checkpoint, std::size_t i) {
  const TensorInfo& info = checkpoint.tensors()[i];
  std::vector<std::int64_t> values(static_cast<std::size_t>(info.elements()));
  checkpoint.source().read_i64(i, values);
  const auto width = static_cast<std::size_t>(size_of(info.dtype));
  std::string out(values.size() * width, '\0');
  for (std::size_t k = 0; k < values.size(); ++k) {
    std::memcpy(out.data() + k * width, &values[k], width);  // little-endian
  }
  return out;
}

class Conversion {
 public:
  explicit Conversion(const ConvertOptions& options)
      : options_(options), source_(Checkpoint::open(options.model)) {}

  ConvertReport run() {
    report_.warnings = source_.warnings();
    check_source();
    std::error_code none;
    if (fs::equivalent(source_.folder(), options_.output, none)) {
      fail(Fault::usage, options_.output + ": this is the model itself. Give another folder");
    }
    AtomicFolder folder(options_.output, options_.force);
    const fs::path made = folder.temporary();
    for (const TensorInfo& info : source_.tensors()) {
      bytes_ += info.elements() * size_of(info.dtype);
    }
    write_weights((made / "model.safetensors").string());
    write_beside(made);
    verify(made);
    folder.publish();
    return std::move(report_);
  }

 private:
  void check_source() {
    report_.source_sha256 = source_.sha256();
    if (!options_.pin.empty() && options_.pin != report_.source_sha256) {
      fail(Fault::checkpoint, options_.model.string() + ": the weights' SHA-256 is " +
                                  report_.source_sha256 + ", the command pins " + options_.pin);
    }
    const ModelSpec spec = sketch_checkpoint(source_);
    for (const BlockSpec& block : spec.blocks) {
      const auto* striped = std::get_if<StripedSpec>(&block.forward);
      if (striped != nullptr && striped->fp8 &&
          (striped->fp8->input != 1 || striped->fp8->weight != 1)) {
        fail(Fault::checkpoint, source_.label() +
                                    ": its 8-bit projections have scales of their own, for which "
                                    "safetensors has no place. Use the checkpoint as it is");
      }
    }
  }

  DType type_of(const TensorInfo& info) const {
    return is_floating(info.dtype) ? options_.type : info.dtype;
  }

  void write_weights(const std::string& path) {
    AtomicFile file(path, false);
    SafetensorsOutputHeader header;
    header.note("format", "pt");  // transformers wants it
    if (!options_.version.empty()) header.note("genossm", options_.version);
    header.note("source_sha256", report_.source_sha256);
    for (const TensorInfo& info : source_.tensors()) {
      const DType type = type_of(info);
      header.add(info.name, type, info.shape,
                 static_cast<std::uint64_t>(info.elements() * size_of(type)));
    }
    file.write(header.text(0));
    for (std::size_t i = 0; i < source_.tensors().size(); ++i) write_tensor(file, i);
    report_.tensors = static_cast<Index>(source_.tensors().size());
    report_.bytes = static_cast<Index>(file.size());
    file.publish();
  }

  void write_tensor(AtomicFile& file, std::size_t i) {
    const TensorInfo& info = source_.tensors()[i];
    if (!is_floating(info.dtype)) {
      file.write(integer_bytes(source_, i));
      passed(info.elements() * size_of(info.dtype));
      return;
    }
    report_.values += info.elements();
    Index beyond = 0;
    float largest = 0;
    Pieces(source_, i).run([&](const float* values, Index count) {
      for (Index k = 0; k < count; ++k) {
        const float value = values[k], now = rounded(value, options_.type);
        if (!std::isfinite(value)) {
          ++report_.not_finite;
        } else if (!std::isfinite(now)) {
          ++beyond;
          largest = std::max(largest, std::abs(value));
        } else if (now != value) {
          ++report_.rounded;
          if (now == 0) {
            ++report_.vanished;
          } else {
            report_.largest_rounding = std::max(
                report_.largest_rounding, std::abs((double{now} - double{value}) / double{value}));
          }
        }
      }
      write_values(file, values, count);
      passed(count * size_of(info.dtype));
    });
    if (beyond > 0) {
      fail(Fault::checkpoint, source_.label() + ": " + shown(info.name) + ": " +
                                  std::to_string(beyond) + " values are beyond the range of " +
                                  std::string(name_of(options_.type)) + " (the largest is " +
                                  std::to_string(largest) + "). Use --dtype " +
                                  (options_.type == DType::f16 ? "bf16 or f32" : "f32"));
    }
  }

  void write_values(AtomicFile& file, const float* values, Index count) {
    if (options_.type == DType::f32) {
      file.write({reinterpret_cast<const char*>(values), static_cast<std::size_t>(4 * count)});
      return;
    }
    half_.resize(static_cast<std::size_t>(count));
    for (Index k = 0; k < count; ++k) {
      half_[static_cast<std::size_t>(k)] =
          options_.type == DType::f16 ? f32_to_f16(values[k]) : f32_to_bf16(values[k]);
    }
    file.write({reinterpret_cast<const char*>(half_.data()), 2 * half_.size()});
  }

  void write_text(const fs::path& path, std::string_view text) {
    AtomicFile file(path.string(), false);
    file.write(text);
    file.publish();
    report_.copied.push_back(path.filename().string());
  }

  // Config, tokenizer and what else says what the weights mean.
  void write_beside(const fs::path& made) {
    const fs::path from = source_.folder();
    const Json config = config_of(source_);
    const bool own = source_.has_config() && config.where() == "config.json";
    write_text(made / "config.json", own ? MappedFile::open(from / "config.json").text()
                                         : std::string_view(config.dump() + '\n'));
    if (fs::exists(from / "genossm.json")) {
      write_text(made / "genossm.json", MappedFile::open(from / "genossm.json").text());
    } else {
      // The published context is known by the folder's name, which is another one now.
      const std::string name = fs::weakly_canonical(from).filename().string();
      if (const Index context = published_context(name); context > 0) {
        write_text(
            made / "genossm.json",
            json_line({{"name", json_text(name)}, {"context", std::to_string(context)}}) + '\n');
      }
    }
    for (const char* name : kBeside) {
      std::error_code none;
      if (!fs::is_regular_file(from / name, none)) continue;
      write_text(made / name, MappedFile::open(from / name).text());
    }
  }

  // Reads what was written as any model is read, and compares every value.
  void verify(const fs::path& made) {
    const Checkpoint back = Checkpoint::open(made);
    static_cast<void>(sketch_checkpoint(back));
    const auto differs = [&](const TensorInfo& info) {
      fail(Fault::output, options_.output + ": " + shown(info.name) +
                              " reads back otherwise than it was written. The disk may be bad");
    };
    for (std::size_t i = 0; i < source_.tensors().size(); ++i) {
      const TensorInfo& info = source_.tensors()[i];
      const auto at = back.find(info.name);
      if (!at || back.tensors()[*at].shape != info.shape ||
          back.tensors()[*at].dtype != type_of(info)) {
        differs(info);
      }
      if (!is_floating(info.dtype)) {
        if (integer_bytes(source_, i) != integer_bytes(back, *at)) differs(info);
        passed(info.elements() * size_of(info.dtype));
        continue;
      }
      const auto place = back.source().place(*at);
      Index done = 0;
      Buffer<float> read(std::min(kPiece, info.elements()));
      Pieces(source_, i).run([&](const float* values, Index count) {
        const Index width = size_of(options_.type);
        convert_to_f32(options_.type, place->data + done * width, 1, count, read.data());
        for (Index k = 0; k < count; ++k) {
          const float want = rounded(values[k], options_.type);
          if (read[k] != want && !(std::isnan(read[k]) && std::isnan(want))) differs(info);
        }
        done += count;
        passed(count * size_of(info.dtype));
      });
    }
    report_.sha256 = back.sha256();
  }

  void passed(Index bytes) {
    done_ += bytes;
    if (options_.progress) options_.progress(done_, 2 * bytes_);
  }

  const ConvertOptions& options_;
  Checkpoint source_;
  ConvertReport report_;
  std::vector<std::uint16_t> half_;
  Index bytes_ = 0, done_ = 0;
};

}  // namespace

ConvertReport convert_checkpoint(const ConvertOptions& options) {
  return Conversion(options).run();
}

}  // namespace genossm
