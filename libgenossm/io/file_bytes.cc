#include "libgenossm/io/file_bytes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <mutex>
#include <optional>
#include <string_view>
#include <system_error>

#include "kernels/core/error.h"
#include "libgenossm/base/checked.h"
#include "libgenossm/io/small_file.h"

namespace genossm {
namespace {

constexpr std::size_t kHeader = 18;  // of a block, with its BC field
constexpr std::size_t kFooter = 8;   // CRC-32 and length
constexpr std::uint64_t kLargestBlock = 65536;

std::uint64_t little(std::span<const char> bytes, std::size_t offset, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(bytes[offset + i]);
  }
  return value;
}

void put_little(std::string& out, std::uint64_t value) {
  for (int i = 0; i < 8; ++i) out += static_cast<char>(value >> 8 * i & 255);
}

bool is_gzip(std::span<const char> start) {
  return start.size() >= 2 && start[0] == '\x1f' && start[1] == '\x8b';
}

bool is_block(std::span<const char> header) {
  constexpr std::string_view kExtra("\x06\x00\x42\x43\x02\x00", 6);  // six bytes: "BC", two bytes
  return header.size() >= kHeader && is_gzip(header) && header[2] == 8 && (header[3] & 4) &&
         std::string_view(header.data() + 10, 6) == kExtra;
}

// Ends the stream whatever happens.
struct Inflater {
  z_stream stream = {};
  bool ready = inflateInit2(&stream, -15) == Z_OK;
  Inflater() = default;
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() {
    if (ready) inflateEnd(&stream);
  }
};

}  // namespace

struct FileBytes::Descriptor {
  explicit Descriptor(int n) : number(n) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(number); }
  int number;
};

// The last block of which a part was read. Who reads piece by piece begins in the block that the
// piece before ended in.
struct FileBytes::Last {
  std::mutex mutex;
  std::uint64_t compressed = 0;  // where the block begins in the file
  std::vector<char> text;        // of it; empty: none was read
};

void FileBytes::refuse(const std::string& sentence) const {
  fail(Fault::input, path_ + ": " + sentence);
}

FileBytes FileBytes::open(const std::string& path) {
  const auto missing = [&](const std::string& why) { fail(Fault::missing, path + ": " + why); };
  const auto reason = [] {
    return "cannot be read (" + std::generic_category().message(errno) + ")";
  };
  constexpr const char* kPipe =
      "is no regular file; regions need one, so write the sequence to a file first";
  if (path == "-") fail(Fault::missing, std::string("standard input ") + kPipe);
  struct stat status = {};
  // Looked at before it is opened: opening a pipe would wait for its writer.
  if (::stat(path.c_str(), &status) != 0) missing(reason());
  if (S_ISDIR(status.st_mode)) missing("is a folder, want a FASTA file");
  if (!S_ISREG(status.st_mode)) missing(kPipe);
  FileBytes bytes;
  bytes.path_ = path;
  const int number = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (number < 0) missing(reason());
  bytes.descriptor_ = std::make_shared<Descriptor>(number);
  bytes.last_ = std::make_shared<Last>();
  if (::fstat(number, &status) != 0) missing(reason());
  std::error_code ignored;
  bytes.changed_ = std::filesystem::last_write_time(path, ignored);
  bytes.stored_ = static_cast<std::uint64_t>(status.st_size);

  std::array<char, kHeader> start = {};
  const std::span<char> head(start.data(), std::min<std::uint64_t>(kHeader, bytes.stored_));
  bytes.read_file(0, head);
  if (!is_gzip(head)) {
    bytes.size_ = static_cast<Index>(bytes.stored_);
    return bytes;
  }
  if (!is_block(head)) {
    bytes.refuse("is ordinary gzip, which has no random access: re-compress it with bgzip");
  }
  bytes.has_index_ = bytes.load_index();
  if (!bytes.has_index_) {
    bytes.blocks_.clear();
    bytes.walked_ = bytes.mapped_ = 0;
    bytes.walk(bytes.stored_);
  }
  bytes.blocks_.push_back({bytes.walked_, bytes.mapped_});
  bytes.size_ = static_cast<Index>(bytes.mapped_);
  return bytes;
}

void FileBytes::read_file(std::uint64_t offset, std::span<char> out) const {
  while (!out.empty()) {
    const ssize_t n =
        ::pread(descriptor_->number, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      fail(Fault::missing,
           path_ + ": cannot be read (" + std::generic_category().message(errno) + ")");
    }
    if (n == 0) refuse("is truncated: it ends before byte " + std::to_string(offset + out.size()));
    out = out.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

std::uint64_t FileBytes::block_length(std::uint64_t at) const {
  std::array<char, kHeader> header = {};
  if (!within(at, kHeader, stored_)) refuse("is truncated inside a bgzip block");
  read_file(at, header);
  if (!is_block(header)) refuse("has no bgzip block at byte " + std::to_string(at));
  const std::uint64_t length = little(header, 16, 2) + 1;
  if (length < kHeader + kFooter) {
    refuse("has a damaged bgzip block at byte " + std::to_string(at));
  }
  if (!within(at, length, stored_)) refuse("is truncated inside a bgzip block");
  return length;
}

void FileBytes::walk(std::size_t most) {
  for (std::size_t n = 0; n < most && walked_ < stored_; ++n) {
    const std::uint64_t length = block_length(walked_);
    std::array<char, 4> footer = {};
    read_file(walked_ + length - footer.size(), footer);
    const std::uint64_t size = little(footer, 0, 4);
    if (size > kLargestBlock) {
      refuse("has a damaged bgzip block at byte " + std::to_string(walked_));
    }
    if (size > 0) blocks_.push_back({walked_, mapped_});
    lacks_end_block_ = size > 0;
    walked_ += length;
    mapped_ += size;
  }
}

// PATH.gzi: the number of blocks after the first, and for each where it begins in the file and in
// the text. It is believed as far as the first blocks and those from its last one on bear it out;
// the others are compared when they are read.
bool FileBytes::load_index() {
  const std::string index_path = path_ + ".gzi";
  std::error_code error;
  const auto changed = std::filesystem::last_write_time(index_path, error);
  if (error || changed < changed_) return false;
  // An index cannot have more entries than the file has room for blocks.
  const std::uint64_t most = 8 + 16 * (stored_ / (kHeader + kFooter) + 1);
  const std::optional<std::string> text = read_small_file(index_path, most);
  if (!text || text->size() < 8) return false;
  const std::uint64_t n = little(*text, 0, 8);
  if (n != (text->size() - 8) / 16 || text->size() % 16 != 8) return false;

  std::vector<Block> blocks{{0, 0}};
  for (std::uint64_t i = 0; i < n; ++i) {
    const Block block{little(*text, 8 + 16 * i, 8), little(*text, 16 + 16 * i, 8)};
    const Block& last = blocks.back();
    if (block.compressed <= last.compressed || block.compressed >= stored_ ||
        block.uncompressed < last.uncompressed ||
        block.uncompressed - last.uncompressed > kLargestBlock) {
      return false;
    }
    blocks.push_back(block);
  }
  constexpr std::size_t kCompared = 4;
  try {
    walk(kCompared);
    for (std::size_t i = 0; i < std::min(blocks_.size(), blocks.size()); ++i) {
      if (blocks_[i].compressed != blocks[i].compressed ||
          blocks_[i].uncompressed != blocks[i].uncompressed) {
        return false;
      }
    }
    walked_ = blocks.back().compressed;
    mapped_ = blocks.back().uncompressed;
    blocks.pop_back();
    blocks_ = std::move(blocks);
    walk(stored_);
  } catch (const Error&) {
    return false;  // the walk without the index will say what is wrong
  }
  return true;
}

std::string FileBytes::index_text() const {
  std::string text;
  const std::size_t n = blocks_.size() < 2 ? 0 : blocks_.size() - 2;
  put_little(text, n);
  for (std::size_t i = 1; i <= n; ++i) {
    put_little(text, blocks_[i].compressed);
    put_little(text, blocks_[i].uncompressed);
  }
  return text;
}

void FileBytes::decompress(const Block& block, std::uint64_t stored, std::span<char> out) const {
  const auto damaged = [&] {
    refuse("has a damaged bgzip block at byte " + std::to_string(block.compressed));
  };
  std::vector<char> in(stored);
  read_file(block.compressed, in);
  const std::size_t footer = in.size() - kFooter;
  if (little(in, footer + 4, 4) != out.size()) {
    refuse("does not agree with its index " + path_ + ".gzi at byte " +
           std::to_string(block.compressed) + "; remove the index, it will be made again");
  }
  Inflater inflater;
  if (!inflater.ready) fail(Fault::memory, path_ + ": no memory to decompress it");
  z_stream& z = inflater.stream;
  z.next_in = reinterpret_cast<Bytef*>(in.data() + kHeader);
  z.avail_in = static_cast<uInt>(footer - kHeader);
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  if (inflate(&z, Z_FINISH) != Z_STREAM_END || z.avail_out != 0) damaged();
  const uLong crc = crc32(crc32(0, nullptr, 0), reinterpret_cast<const Bytef*>(out.data()),
                          static_cast<uInt>(out.size()));
  if (crc != little(in, footer, 4)) damaged();
}

// Of a block of `size` bytes.
void FileBytes::copy_part(const Block& block, std::size_t size, std::size_t skip,
                          std::span<char> out) const {
  {
    const std::lock_guard lock(last_->mutex);
    if (last_->text.size() == size && last_->compressed == block.compressed) {
      std::memcpy(out.data(), last_->text.data() + skip, out.size());
      return;
    }
  }
  std::vector<char> whole(size);
  decompress(block, block_length(block.compressed), whole);
  std::memcpy(out.data(), whole.data() + skip, out.size());
  const std::lock_guard lock(last_->mutex);
  last_->compressed = block.compressed;
  last_->text.swap(whole);
}

Index FileBytes::read(Index offset, std::span<char> out) const {
  if (offset >= size_) return 0;
  out = out.first(std::min(out.size(), static_cast<std::size_t>(size_ - offset)));
  const Index given = static_cast<Index>(out.size());
  if (!compressed()) {
    read_file(static_cast<std::uint64_t>(offset), out);
    return given;
  }
  std::uint64_t at = static_cast<std::uint64_t>(offset);
  auto next = std::upper_bound(blocks_.begin(), blocks_.end(), at,
                               [](std::uint64_t a, const Block& b) { return a < b.uncompressed; });
  for (; !out.empty(); ++next) {
    const Block& block = *std::prev(next);
    const std::size_t size = next->uncompressed - block.uncompressed;
    if (size == 0) continue;
    const std::size_t skip = at - block.uncompressed, n = std::min(size - skip, out.size());
    if (n == size) {
      decompress(block, block_length(block.compressed), out.first(n));
    } else {
      copy_part(block, size, skip, out.first(n));
    }
    at += n;
    out = out.subspan(n);
  }
  return given;
}

}  // namespace genossm
