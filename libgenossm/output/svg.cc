#include "libgenossm/output/svg.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace genossm {
namespace {

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '"') {
      out += "&quot;";
    } else {
      out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

std::string hex(double red, double green, double blue) {
  char text[16];
  std::snprintf(text, sizeof text, "#%02x%02x%02x", static_cast<int>(std::lround(red)),
                static_cast<int>(std::lround(green)), static_cast<int>(std::lround(blue)));
  return text;
}

std::string spaced(const std::string& more) { return more.empty() ? "" : ' ' + more; }

std::string points_text(const std::vector<std::pair<double, double>>& points) {
  std::string out;
  for (const auto& [x, y] : points) {
    if (!out.empty()) out += ' ';
    out += number(x);
    out += ',';
    out += number(y);
  }
  return out;
}

// The step of 1, 2 or 5 times a power of ten of which about `most` fill the span.
double round_step(double span, int most) {
  const double rough = span / std::max(1, most);
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (rough <= 1.25 * step * power) return step * power;
  }
  return 10 * power;
}

}  // namespace

Svg::Svg(double width, double height) {
  out_ = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + number(width) + "\" height=\"" +
         number(height) + "\" font-family=\"sans-serif\" font-size=\"10\">\n" +
         "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
}

void Svg::text(double x, double y, const std::string& text, const std::string& more) {
  out_ += "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\"" + spaced(more) + '>' +
          escaped(text) + "</text>\n";
}

void Svg::line(double x1, double y1, double x2, double y2, const std::string& colour,
               const std::string& more) {
  out_ += "<line x1=\"" + number(x1) + "\" x2=\"" + number(x2) + "\" y1=\"" + number(y1) +
          "\" y2=\"" + number(y2) + "\" stroke=\"" + colour + "\"" + spaced(more) + "/>\n";
}

void Svg::rect(double x, double y, double width, double height, const std::string& colour,
               const std::string& more) {
  out_ += "<rect x=\"" + number(x) + "\" y=\"" + number(y) + "\" width=\"" + number(width) +
          "\" height=\"" + number(height) + "\" fill=\"" + colour + "\"" + spaced(more) + "/>\n";
}

void Svg::circle(double x, double y, double radius, const std::string& colour,
                 const std::string& more) {
  out_ += "<circle cx=\"" + number(x) + "\" cy=\"" + number(y) + "\" r=\"" + number(radius) +
          "\" fill=\"" + colour + "\"" + spaced(more) + "/>\n";
}

void Svg::polyline(const std::vector<std::pair<double, double>>& points, const std::string& colour,
                   const std::string& more) {
  if (points.empty()) return;
  if (points.size() == 1) {  // a line of one point would not be seen
    circle(points[0].first, points[0].second, 1.2, colour);
    return;
  }
  out_ += "<polyline points=\"" + points_text(points) + "\" fill=\"none\" stroke=\"" + colour +
          "\"" + spaced(more) + "/>\n";
}

void Svg::polygon(const std::vector<std::pair<double, double>>& points, const std::string& colour) {
  if (points.empty()) return;
  out_ += "<polygon points=\"" + points_text(points) + "\" fill=\"" + colour + "\"/>\n";
}

void Svg::letter(double x, double y, double width, double height, char base) {
  // In a box of 1 by 1, from the top left.
  const char* shape = "M0,1V0H.24L.78,.68V0H1V1H.76L.22,.32V1Z";
  if (base == 'A') shape = "M0,1L.38,0H.62L1,1H.78L.7,.78H.3L.22,1ZM.36,.61H.64L.5,.2Z";
  if (base == 'T') shape = "M0,0H1V.17H.61V1H.39V.17H0Z";
  if (base == 'C') {
    shape =
        "M1,.3C1,.1 .78,0 .52,0C.2,0 0,.2 0,.5C0,.8 .2,1 .52,1C.78,1 1,.9 1,.7L.78,.66"
        "C.76,.78 .66,.84 .52,.84C.32,.84 .22,.7 .22,.5C.22,.3 .32,.16 .52,.16"
        "C.66,.16 .76,.22 .78,.34Z";
  }
  if (base == 'G') {
    shape =
        "M1,.3C1,.1 .78,0 .52,0C.2,0 0,.2 0,.5C0,.8 .2,1 .54,1C.74,1 .9,.94 1,.86V.47H.54V.62"
        "H.79V.78C.73,.82 .64,.84 .54,.84C.33,.84 .22,.7 .22,.5C.22,.3 .32,.16 .52,.16"
        "C.66,.16 .76,.22 .79,.33Z";
  }
  out_ += "<path d=\"" + std::string(shape) + "\" fill-rule=\"evenodd\" transform=\"translate(" +
          number(x) + ',' + number(y) + ") scale(" + number(width) + ',' + number(height) +
          ")\" fill=\"" + base_colour(base) + "\"/>\n";
}

std::string Svg::finish() { return std::move(out_ += "</svg>\n"); }

double text_width(const std::string& text, double size) {
  return 0.64 * size * static_cast<double>(text.size());
}

const char* base_colour(char base) {
  switch (base) {
    case 'A':
      return "#109648";
    case 'C':
      return "#255c99";
    case 'G':
      return "#f7b32b";
    case 'T':
      return "#d62839";
    default:
      return "#888888";
  }
}

std::string series_colour(std::size_t i, std::size_t n) {
  // From dark violet by green to yellow, in brightness ascending: in grey as well.
  constexpr double kStops[][3] = {{68, 1, 84}, {49, 104, 142}, {53, 183, 121}, {216, 200, 30}};
  const double at = n < 2 ? 1 : 3.0 * static_cast<double>(i) / static_cast<double>(n - 1);
  const auto low = std::min<std::size_t>(2, static_cast<std::size_t>(at));
  const double share = at - static_cast<double>(low);
  const auto mix = [&](std::size_t c) {
    return kStops[low][c] + share * (kStops[low + 1][c] - kStops[low][c]);
  };
  return hex(mix(0), mix(1), mix(2));
}

std::string group_colour(std::size_t i) {
  constexpr const char* kColours[] = {"#255c99", "#d62839", "#109648", "#f7b32b", "#7b3294",
                                      "#8c564b", "#e377c2", "#555555", "#9aa520", "#17a2b8"};
  return kColours[i % std::size(kColours)];
}

Axis::Axis(double low, double high, double from, double to, bool logarithmic)
    : low_(logarithmic ? std::log10(low) : low),
      high_(logarithmic ? std::log10(high) : high),
      from_(from),
      to_(to),
      logarithmic_(logarithmic) {
  const double span = high_ - low_;
  // Rounding alone is no span.
  const double least = logarithmic ? 0.05 : 1e-6 * std::max(std::abs(low_), std::abs(high_));
  const double wider = span > least ? 0.04 * span : std::max(least, logarithmic ? 0.05 : 1e-12);
  low_ -= wider;
  high_ += wider;
}

double Axis::at(double value) const {
  const double v = logarithmic_ ? std::log10(value) : value;
  return from_ + (v - low_) / (high_ - low_) * (to_ - from_);
}

std::vector<double> Axis::ticks(int most) const {
  std::vector<double> out;
  if (!logarithmic_) {
    const double step = round_step(high_ - low_, most);
    for (double k = std::ceil(low_ / step); k * step <= high_; ++k) {
      out.push_back(std::abs(k) < 0.5 ? 0 : k * step);
    }
    return out;
  }
  const double decades = high_ - low_;
  if (decades < 0.7) {  // too short for powers of ten: round numbers between
    const double low = std::pow(10, low_), high = std::pow(10, high_);
    const double step = round_step(high - low, most);
    for (double k = std::ceil(low / step); k * step <= high; ++k) out.push_back(k * step);
    return out;
  }
  const int every = std::max(1, static_cast<int>(std::ceil(decades / most)));
  for (int power = static_cast<int>(std::floor(low_)); power <= high_; ++power) {
    for (const double times : {1.0, 2.0, 5.0}) {
      const double place = power + std::log10(times);
      const bool wanted = times == 1 ? power % every == 0 : 2 * decades <= most;
      if (wanted && place >= low_ && place <= high_) out.push_back(times * std::pow(10, power));
    }
  }
  return out;
}

std::string Axis::label(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

std::vector<long long> round_places(long long low, long long high, int most) {
  const auto step =
      std::max(1LL, std::llround(round_step(static_cast<double>(std::max(1LL, high - low)), most)));
  std::vector<long long> out;
  const long long first = low >= 0 ? (low + step - 1) / step * step : -(-low / step * step);
  for (long long place = first; place <= high; place += step) out.push_back(place);
  return out;
}

}  // namespace genossm
