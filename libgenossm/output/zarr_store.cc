#include "libgenossm/output/zarr_store.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#ifdef GENOSSM_HAS_BLOSC
#include <blosc.h>
#endif

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "kernels/core/error.h"
#include "libgenossm/output/byte_sink.h"
#include "libgenossm/output/elements.h"
#include "libgenossm/output/little.h"
#include "libgenossm/output/npy.h"

namespace genossm {
namespace {

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

std::size_t row_bytes(const MatrixSpec& spec) {
  return static_cast<std::size_t>(spec.columns) * (spec.element == Element::f32 ? 4 : 2);
}

}  // namespace

void ZarrFolder::refuse(const std::string& why) const {
  fail(Fault::output, label_ + ": cannot be written (" + why + ")");
}

void ZarrFolder::folder(const std::string& name) const {
  std::error_code error;
  std::filesystem::create_directories(path_ + "/" + name, error);
  if (error) refuse(error.message());
}

void ZarrFolder::file(const std::string& name, std::string_view bytes) const {
  const std::string path = path_ + "/" + name;
  ::unlink(path.c_str());
  const int descriptor =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor < 0) refuse(std::generic_category().message(errno));
  ByteSink sink(descriptor, label_);
  sink.write(bytes);
  sink.flush();
}

void ZarrFolder::link(const std::string& from, const std::string& name) const {
  const std::string path = path_ + "/" + name;
  if (::link(from.c_str(), path.c_str()) == 0) return;
  std::error_code error;
  std::filesystem::copy_file(from, path, error);
  if (error) refuse(error.message());
}

ZarrArray::ZarrArray(const ZarrFolder& store, std::string name, std::string dtype, Index columns,
                     std::size_t row, Index block, Index first)
    : store_(store),
      name_(std::move(name)),
      dtype_(std::move(dtype)),
      columns_(columns),
      row_(row),
      block_(block),
      rows_(first),
      chunks_(first / block) {}

void ZarrArray::add(std::string_view row) {
  if (row_ == 0) put_little(chunk_, static_cast<std::uint32_t>(row.size()));
  chunk_ += row;
  ++rows_;
  if (++in_chunk_ == block_) flush();
}

void ZarrArray::add_chunk(const std::string& file) {
  require(at_border(), Fault::internal, "zarr: a chunk before the one before it is full");
  store_.folder(name_);
  store_.link(file, chunk_name(chunks_++));
  rows_ += block_;
}

std::string ZarrArray::chunk_name(Index chunk) const {
  return name_ + "/" + std::to_string(chunk) + (columns_ > 0 ? ".0" : "");
}

void ZarrArray::finish() {
  if (in_chunk_ > 0) flush();
  store_.folder(name_);
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

void ZarrArray::flush() {
  store_.folder(name_);
  for (; in_chunk_ < block_; ++in_chunk_) {
    if (row_ == 0) put_little(chunk_, std::uint32_t{0});
  }
  std::string bytes;
  if (row_ == 0) put_little(bytes, static_cast<std::uint32_t>(block_));
  bytes += chunk_;
  if (row_ > 0) bytes.resize(row_ * static_cast<std::size_t>(block_), '\0');
  const std::size_t element =
      row_ == 0 ? 1 : row_ / static_cast<std::size_t>(std::max<Index>(1, columns_));
  last_ = compressed(bytes, element);
  store_.file(chunk_name(chunks_++), last_);
  chunk_.clear();
  in_chunk_ = 0;
}

Index zarr_block(const MatrixSpec& spec) {
  return std::clamp<Index>(kBlockBytes / static_cast<Index>(row_bytes(spec)), 1, 65536);
}

ZarrArray zarr_matrix_array(const ZarrFolder& store, const MatrixSpec& spec, Index first) {
  return ZarrArray(store, spec.name, std::string(npy_type(spec.element)), spec.columns,
                   row_bytes(spec), zarr_block(spec), first);
}

}  // namespace genossm
