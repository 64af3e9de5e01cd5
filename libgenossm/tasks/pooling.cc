#include "libgenossm/tasks/pooling.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>

#include "kernels/pool/pool.h"

namespace genossm {
namespace {

struct Word {
  const char* name;
  PoolPart::Kind kind;
  bool sized;  // takes a number after a colon
};
constexpr Word kWords[] = {
    {"mean", PoolPart::Kind::mean, false},    {"max", PoolPart::Kind::max, false},
    {"first", PoolPart::Kind::first, false},  {"last", PoolPart::Kind::last, false},
    {"center", PoolPart::Kind::center, true}, {"segments", PoolPart::Kind::segments, true},
};
constexpr Index kMostRows = 1'000'000;

PoolPart parse_part(const std::string& part, const std::string& text) {
  const auto colon = part.find(':');
  for (const Word& word : kWords) {
    if (part.substr(0, colon) != word.name) continue;
    PoolPart out{word.kind, 1};
    if (colon == std::string::npos) {
      if (word.kind == PoolPart::Kind::segments) break;
      return out;
    }
    const char* begin = part.data() + colon + 1;
    const char* end = part.data() + part.size();
    const auto [rest, error] = std::from_chars(begin, end, out.size);
    if (!word.sized || error != std::errc() || rest != end || out.size < 1 ||
        out.size > kMostRows) {
      break;
    }
    return out;
  }
  fail(Fault::usage, "--pool '" + text +
                         "' is not none, nor made of mean, max, first, last, center[:W], "
                         "segments:K joined by +");
}

}  // namespace

PoolParts parse_pool(const std::string& text) {
  PoolParts parts;
  if (text == "none") return parts;
  for (std::size_t at = 0; at <= text.size();) {
    const auto plus = std::min(text.find('+', at), text.size());
    parts.push_back(parse_part(text.substr(at, plus - at), text));
    at = plus + 1;
  }
  return parts;
}

std::string pool_text(const PoolParts& parts) {
  if (parts.empty()) return "none";
  std::string text;
  for (const PoolPart& part : parts) {
    for (const Word& word : kWords) {
      if (word.kind != part.kind) continue;
      if (!text.empty()) text += '+';
      text += word.name;
      if (word.sized) text.append(":").append(std::to_string(part.size));
    }
  }
  return text;
}

Index pooled_columns(const PoolParts& parts, Index columns) {
  Index vectors = 0;
  for (const PoolPart& part : parts) {
    vectors += part.kind == PoolPart::Kind::segments ? part.size : 1;
  }
  return vectors * columns;
}

Pooling::Pooling(PoolParts parts, Index columns) : parts_(std::move(parts)), columns_(columns) {
  require(!parts_.empty(), Fault::internal, "pooling: none");
}

void Pooling::begin(Index rows) {
  using Kind = PoolPart::Kind;
  rows_ = rows;
  count_ = 0;
  spans_.clear();
  for (const PoolPart& part : parts_) {
    Index begin = 0, end = rows;
    if (part.kind == Kind::first) end = std::min<Index>(1, rows);
    if (part.kind == Kind::last) begin = std::max<Index>(0, rows - 1);
    if (part.kind == Kind::center && part.size < rows) {
      begin = (rows - part.size + 1) / 2;
      end = begin + part.size;
    }
    if (part.kind != Kind::segments) {
      spans_.push_back({part.kind, begin, end, 0});
      continue;
    }
    for (Index s = 0; s < part.size; ++s) {
      begin = s * rows / part.size;
      end = std::max((s + 1) * rows / part.size, std::min(begin + 1, rows));
      spans_.push_back({part.kind, begin, end, 0});
    }
  }
  values_.clear();
  for (Span& span : spans_) {
    span.at = values_.size();
    values_.resize(values_.size() + static_cast<std::size_t>(columns_),
                   span.kind == Kind::max ? -std::numeric_limits<double>::infinity() : 0.0);
  }
}

void Pooling::take(Device& where, View<const float, 2> rows) {
  // Rows are in host memory, whatever device they came from.
  Device host{Cpu(1)};
  Device& device = as_cuda(where) != nullptr ? host : where;
  const Index n = rows.extent[0];
  require(count_ + n <= rows_, Fault::internal, "pooling: more rows than the record has");
  for (const Span& span : spans_) {
    const Index begin = std::clamp<Index>(span.begin - count_, 0, n);
    const Index end = std::clamp<Index>(span.end - count_, begin, n);
    if (begin == end) continue;
    launch(device,
           Pool{.kind = span.kind == PoolPart::Kind::max ? Pool::Kind::max : Pool::Kind::mean,
                .x = genossm::rows(rows, begin, end),
                .sum = {values_.data() + span.at, {columns_}}});
  }
  count_ += n;
}

bool Pooling::sums() const {
  return std::all_of(parts_.begin(), parts_.end(), [](const PoolPart& part) {
    return part.kind == PoolPart::Kind::mean || part.kind == PoolPart::Kind::max;
  });
}

bool Pooling::maxima() const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [](const PoolPart& part) { return part.kind == PoolPart::Kind::max; });
}

void Pooling::put(const double* sum, const double* max, Index rows) {
  require(sums(), Fault::internal, "pooling: put() is for means and maxima");
  require(count_ + rows <= rows_, Fault::internal, "pooling: more rows than the record has");
  for (const Span& span : spans_) {
    std::copy_n(span.kind == PoolPart::Kind::max ? max : sum, columns_, values_.data() + span.at);
  }
  count_ += rows;
}

void Pooling::get(double* sum, double* max) const {
  require(sums(), Fault::internal, "pooling: get() is for means and maxima");
  for (const Span& span : spans_) {
    std::copy_n(values_.data() + span.at, columns_, span.kind == PoolPart::Kind::max ? max : sum);
  }
}

std::string Pooling::state() const {
  std::string out(sizeof count_ + values_.size() * sizeof(double), '\0');
  std::memcpy(out.data(), &count_, sizeof count_);
  std::memcpy(out.data() + sizeof count_, values_.data(), values_.size() * sizeof(double));
  return out;
}

void Pooling::restore(std::string_view bytes) {
  require(bytes.size() == sizeof count_ + values_.size() * sizeof(double), Fault::input,
          "pooling: not the state of such a vector");
  std::memcpy(&count_, bytes.data(), sizeof count_);
  std::memcpy(values_.data(), bytes.data() + sizeof count_, values_.size() * sizeof(double));
}

std::vector<float> Pooling::finish() const {
  require(count_ == rows_, Fault::internal, "pooling: rows are missing");
  std::vector<float> out;
  if (rows_ == 0) {
    out.assign(static_cast<std::size_t>(columns()), std::numeric_limits<float>::quiet_NaN());
    return out;
  }
  out.reserve(values_.size());
  for (const Span& span : spans_) {
    const double count =
        span.kind == PoolPart::Kind::max ? 1.0 : static_cast<double>(span.end - span.begin);
    for (std::size_t c = 0; c < static_cast<std::size_t>(columns_); ++c) {
      out.push_back(static_cast<float>(values_[span.at + c] / count));
    }
  }
  return out;
}

}  // namespace genossm
