// A matrix as a Zarr v2 store: a folder with a file a block of rows. Chunks are compressed one by
// one; labels have chunks of their own, so that memory does not grow with the number of rows.
#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#ifdef GENOSSM_HAS_BLOSC
#include <blosc.h>
#endif

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>

#include "kernels/core/error.h"
#include "libgenossm/output/atomic_folder.h"
#include "libgenossm/output/byte_sink.h"
#include "libgenossm/output/elements.h"
#include "libgenossm/output/label_table.h"
#include "libgenossm/output/little.h"
#include "libgenossm/output/matrix_writers.h"
#include "libgenossm/output/npy.h"
#include "libgenossm/output/unicode.h"

namespace genossm {
namespace {

constexpr Index kLabelBlock = 16384;
constexpr Index kBlockBytes = Index{4} << 20;

#ifdef GENOSSM_HAS_BLOSC
constexpr const char* kCompressor =
    R"({"id": "blosc", "cname": "zstd", "clevel": 5, "shuffle": 1, "blocksize": 0})";
#else
constexpr const char* kCompressor = R"({"id": "zlib", "level": 1})";
#endif

// `size`: of an element, whose bytes are shuffled.
std::string compressed(std::string_view bytes, std::size_t size) {
#ifdef GENOSSM_HAS_BLOSC
  std::string out(bytes.size() + BLOSC_MAX_OVERHEAD, '\0');
  const int n = blosc_compress_ctx(5, BLOSC_SHUFFLE, size, bytes.size(), bytes.data(), out.data(),
                                   out.size(), "zstd", 0, 1);
  if (n <= 0) fail(Fault::internal, "blosc could not compress a chunk (" + std::to_string(n) + ")");
  out.resize(static_cast<std::size_t>(n));
  return out;
#else
  static_cast<void>(size);
  uLongf n = compressBound(bytes.size());
  std::string out(n, '\0');
  if (compress2(reinterpret_cast<Bytef*>(out.data()), &n,
                reinterpret_cast<const Bytef*>(bytes.data()), bytes.size(), 1) != Z_OK) {
    fail(Fault::internal, "zlib could not compress a chunk");
  }
  out.resize(n);
  return out;
#endif
}

// Names that JSON can hold as they are.
std::string json_of(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

class Store {
 public:
  Store(const OutputRequest& request) : folder_(request.path, request.force) {}

  void folder(const std::string& name) {
    std::error_code error;
    std::filesystem::create_directory(folder_.temporary() + "/" + name, error);
    if (error) refuse(error.message());
  }

  void file(const std::string& name, std::string_view bytes) {
    const std::string path = folder_.temporary() + "/" + name;
    const int descriptor =
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor < 0) refuse(std::generic_category().message(errno));
    ByteSink sink(descriptor, folder_.path());
    sink.write(bytes);
    sink.flush();
  }

  void publish() { folder_.publish(); }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    fail(Fault::output, folder_.path() + ": cannot be written (" + why + ")");
  }

  AtomicFolder folder_;
};

// One array that grows along its first axis. The last chunk is filled up: all have one size.
class Growing {
 public:
  // `row`: bytes of one row; texts have none and are packed as numcodecs' vlen-utf8.
  Growing(Store& store, std::string name, std::string dtype, Index columns, std::size_t row,
          Index block)
      : store_(store),
        name_(std::move(name)),
        dtype_(std::move(dtype)),
        columns_(columns),
        row_(row),
        block_(block) {
    store_.folder(name_);
  }

  void add(std::string_view row) {
    if (row_ == 0) put_little(chunk_, static_cast<std::uint32_t>(row.size()));
    chunk_ += row;
    ++rows_;
    if (++in_chunk_ == block_) flush();
  }
  void add(std::int64_t value) { add({reinterpret_cast<const char*>(&value), sizeof value}); }

  void finish() {
    if (in_chunk_ > 0) flush();
    std::string shape = std::to_string(rows_), chunks = std::to_string(block_);
    if (columns_ > 0) {
      shape += ", " + std::to_string(columns_);
      chunks += ", " + std::to_string(columns_);
    }
    const bool text = row_ == 0;
    const char* fill = text ? R"("")" : dtype_[1] == 'f' ? R"("NaN")" : "0";
    store_.file(name_ + "/.zarray",
                "{\n    \"chunks\": [" + chunks + "],\n    \"compressor\": " + kCompressor +
                    ",\n    \"dtype\": \"" + dtype_ + "\",\n    \"fill_value\": " + fill +
                    ",\n    \"filters\": " + (text ? R"([{"id": "vlen-utf8"}])" : "null") +
                    ",\n    \"order\": \"C\",\n    \"shape\": [" + shape +
                    "],\n    \"zarr_format\": 2\n}\n");
  }

 private:
  void flush() {
    for (; in_chunk_ < block_; ++in_chunk_) {
      if (row_ == 0) put_little(chunk_, std::uint32_t{0});
    }
    std::string bytes;
    if (row_ == 0) put_little(bytes, static_cast<std::uint32_t>(block_));
    bytes += chunk_;
    if (row_ > 0) bytes.resize(row_ * static_cast<std::size_t>(block_), '\0');
    const std::size_t element =
        row_ == 0 ? 1 : row_ / static_cast<std::size_t>(std::max<Index>(1, columns_));
    store_.file(name_ + "/" + std::to_string(chunks_++) + (columns_ > 0 ? ".0" : ""),
                compressed(bytes, element));
    chunk_.clear();
    in_chunk_ = 0;
  }

  Store& store_;
  std::string name_, dtype_;
  Index columns_;
  std::size_t row_;
  Index block_, rows_ = 0, in_chunk_ = 0, chunks_ = 0;
  std::string chunk_;
};

class ZarrMatrix : public MatrixWriter {
 public:
  ZarrMatrix(const OutputRequest& request, const MatrixSpec& spec)
      : spec_(spec), store_(request), encoder_(spec.element) {
    const std::size_t row =
        static_cast<std::size_t>(spec.columns) * (spec.element == Element::f32 ? 4 : 2);
    const Index block = std::clamp<Index>(kBlockBytes / static_cast<Index>(row), 1, 65536);
    matrix_.emplace(store_, spec.name, std::string(npy_type(spec.element)), spec.columns, row,
                    block);
    names_.emplace(store_, "names", "|O", 0, 0, kLabelBlock);
    lengths_.emplace(store_, "lengths", "<i8", 0, 8, kLabelBlock);
    if (spec.per_base) {
      offsets_.emplace(store_, "offsets", "<i8", 0, 8, kLabelBlock);
      offsets_->add(0);
    }
  }

  void begin_record(const RowLabel& label) override {
    encoder_.begin_record(label.name);
    if (has_region(label) && !contigs_) {
      contigs_.emplace(store_, "contigs", "|O", 0, 0, kLabelBlock);
      begins_.emplace(store_, "starts", "<i8", 0, 8, kLabelBlock);
      ends_.emplace(store_, "ends", "<i8", 0, 8, kLabelBlock);
    }
    names_->add(to_utf8(label.name));
    lengths_->add(label.length);
    if (!contigs_) return;
    contigs_->add(to_utf8(label.contig));
    begins_->add(label.begin);
    ends_->add(label.end);
  }

  void rows(View<const float, 2> rows) override {
    for (Index i = 0; i < rows.extent[0]; ++i) {
      matrix_->add(encoder_.encode(rows.row(i), spec_.columns));
    }
    rows_ += rows.extent[0];
  }

  void end_record() override {
    if (offsets_) offsets_->add(rows_);
  }

  void finish() override {
    for (auto* array : {&matrix_, &names_, &lengths_, &contigs_, &begins_, &ends_, &offsets_}) {
      if (*array) (*array)->finish();
    }
    store_.file(".zgroup", "{\n    \"zarr_format\": 2\n}\n");
    if (!spec_.provenance.empty()) {
      store_.file(".zattrs", "{\n    \"provenance\": " + json_of(spec_.provenance) + "\n}\n");
    }
    store_.publish();
  }

 private:
  MatrixSpec spec_;
  Store store_;
  ElementEncoder encoder_;
  std::optional<Growing> matrix_, names_, lengths_, contigs_, begins_, ends_, offsets_;
  Index rows_ = 0;
};

}  // namespace

std::unique_ptr<MatrixWriter> open_zarr(const OutputRequest& request, const MatrixSpec& spec) {
  return std::make_unique<ZarrMatrix>(request, spec);
}

}  // namespace genossm
