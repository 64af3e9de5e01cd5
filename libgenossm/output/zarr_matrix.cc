// A matrix as a Zarr v2 store: a folder with a file a block of rows. Chunks are compressed one by
// one; labels have chunks of their own, so that memory does not grow with the number of rows.
#include <sys/stat.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/output/atomic_folder.h"
#include "libgenossm/output/elements.h"
#include "libgenossm/output/label_table.h"
#include "libgenossm/output/matrix_writers.h"
#include "libgenossm/output/unicode.h"
#include "libgenossm/output/zarr_shard.h"
#include "libgenossm/output/zarr_store.h"

namespace genossm {
namespace {

constexpr Index kLabelBlock = 16384;

// Names that JSON can hold as they are.
std::string json_of(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

// The file is as long as it was, with the same bytes.
bool holds(const std::string& path, const StandingChunk& chunk) {
  std::ifstream file(path, std::ios::binary);
  std::string piece(1 << 20, '\0');
  std::uint64_t bytes = 0;
  std::uint32_t crc = 0;
  while (file.read(piece.data(), static_cast<std::streamsize>(piece.size())) || file.gcount() > 0) {
    const auto n = static_cast<std::size_t>(file.gcount());
    crc = static_cast<std::uint32_t>(crc32_z(crc, reinterpret_cast<const Bytef*>(piece.data()), n));
    bytes += n;
  }
  return bytes == chunk.bytes && crc == chunk.crc;
}

class ZarrMatrix final : public ChunkedMatrix {
 public:
  ZarrMatrix(const OutputRequest& request, const MatrixSpec& spec)
      : spec_(spec),
        folder_(request.path, request.force),
        store_(folder_.temporary(), folder_.path()),
        encoder_(spec.element),
        matrix_(zarr_matrix_array(store_, spec)),
        names_(text("names")),
        lengths_(numbers("lengths")) {
    if (spec.per_base) {
      offsets_.emplace(numbers("offsets"));
      offsets_->add(0);
    }
  }

  void begin_record(const RowLabel& label) override {
    encoder_.begin_record(label.name);
    name_ = label.name;
    end_ = rows_ + (spec_.per_base ? label.length : 1);
    if (has_region(label) && !contigs_) {
      contigs_.emplace(text("contigs"));
      begins_.emplace(numbers("starts"));
      ends_.emplace(numbers("ends"));
    }
    names_.add(to_utf8(label.name));
    lengths_.add(label.length);
    if (!contigs_) return;
    contigs_->add(to_utf8(label.contig));
    begins_->add(label.begin);
    ends_->add(label.end);
  }

  void rows(View<const float, 2> rows) override {
    for (Index i = 0; i < rows.extent[0]; ++i) {
      matrix_.add(encoder_.encode(rows.row(i), spec_.columns));
    }
    rows_ += rows.extent[0];
  }

  void standing_rows(Index n) override { rows_ += n; }

  void standing_chunk(const StandingChunk& chunk, const std::string& folder) override {
    const std::string file = folder + "/" + matrix_.chunk_name(chunk.number);
    struct stat status = {};
    if (::stat(file.c_str(), &status) != 0) {
      fail(Fault::missing, file +
                               ": is missing, a chunk that a part has written. Make the part "
                               "again, with --force");
    }
    if (!holds(file, chunk)) {
      fail(Fault::input, file +
                             ": is damaged, a chunk that a part has written. Make the part "
                             "again, with --force");
    }
    if (!matrix_.at_border() || matrix_.chunks() != chunk.number) refuse_parts();
    matrix_.add_chunk(file);
  }

  void end_record() override {
    if (rows_ != end_) refuse_parts();
    if (offsets_) offsets_->add(rows_);
  }

  void finish() override {
    if (matrix_.rows() != rows_) refuse_parts();
    matrix_.finish();
    names_.finish();
    lengths_.finish();
    for (auto* array : {&contigs_, &begins_, &ends_, &offsets_}) {
      if (*array) (*array)->finish();
    }
    store_.file(".zgroup", "{\n    \"zarr_format\": 2\n}\n");
    if (!spec_.provenance.empty()) {
      store_.file(".zattrs", "{\n    \"provenance\": " + json_of(spec_.provenance) + "\n}\n");
    }
    folder_.publish();
  }

 private:
  ZarrArray text(const char* name) const { return {store_, name, "|O", 0, 0, kLabelBlock}; }
  ZarrArray numbers(const char* name) const { return {store_, name, "<i8", 0, 8, kLabelBlock}; }

  [[noreturn]] void refuse_parts() const {
    fail(Fault::input, folder_.path() + ": the parts do not fit together at record '" +
                           shown(name_) + "'. Make them again, with one version of genossm");
  }

  MatrixSpec spec_;
  AtomicFolder folder_;
  ZarrFolder store_;
  ElementEncoder encoder_;
  ZarrArray matrix_, names_, lengths_;
  std::optional<ZarrArray> contigs_, begins_, ends_, offsets_;
  std::string name_;          // of the last record
  Index rows_ = 0, end_ = 0;  // so far; at the end of the record
};

}  // namespace

std::unique_ptr<MatrixWriter> open_zarr(const OutputRequest& request, const MatrixSpec& spec) {
  return std::make_unique<ZarrMatrix>(request, spec);
}

std::unique_ptr<ChunkedMatrix> open_zarr_merge(const OutputRequest& request,
                                               const MatrixSpec& spec) {
  return std::make_unique<ZarrMatrix>(request, spec);
}

}  // namespace genossm
