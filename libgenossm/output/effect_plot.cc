#include "libgenossm/output/effect_plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace genossm {
namespace {

constexpr double kCell = 12, kLeft = 60, kTop = 30, kLogo = 90, kGap = 22;

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

// From red (the change is unlikely) over white to blue.
std::string colour(double share) {
  const double s = std::clamp(share, -1.0, 1.0);
  const auto fade = [&](double full) {
    return static_cast<int>(std::lround(255 - std::abs(s) * (255 - full)));
  };
  char text[16];
  if (s < 0) {
    std::snprintf(text, sizeof text, "#%02x%02x%02x", fade(178), fade(24), fade(43));
  } else {
    std::snprintf(text, sizeof text, "#%02x%02x%02x", fade(33), fade(102), fade(172));
  }
  return text;
}

const char* letter_colour(char base) {
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

std::string text_at(double x, double y, const std::string& text, const std::string& more) {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" " + more + '>' + escaped(text) +
         "</text>\n";
}

class Drawing {
 public:
  explicit Drawing(const EffectPlot& plot) : plot_(plot) {
    for (const float score : plot.scores) {
      if (std::isfinite(score)) largest_ = std::max(largest_, std::abs(double{score}));
    }
  }

  std::string svg() {
    const double width = kLeft + kCell * static_cast<double>(plot_.bases.size()) + 20;
    const double height = map_top() + kCell * static_cast<double>(plot_.rows.size()) + 40;
    out_ = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + number(width) + "\" height=\"" +
           number(height) + "\" font-family=\"sans-serif\" font-size=\"10\">\n";
    out_ += "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
    out_ += text_at(kLeft, 16, plot_.title, "font-size=\"12\"");
    logo();
    map();
    axis();
    out_ += "</svg>\n";
    return std::move(out_);
  }

 private:
  double map_top() const { return kTop + kLogo + kGap; }
  double x_of(std::size_t i) const { return kLeft + kCell * static_cast<double>(i); }
  float score(std::size_t base, std::size_t row) const {
    return plot_.scores[base * plot_.rows.size() + row];
  }

  // What the changes of a base bring on average, the base itself left out.
  double loss(std::size_t base) const {
    double sum = 0;
    int n = 0;
    for (std::size_t row = 0; row < std::min<std::size_t>(4, plot_.rows.size()); ++row) {
      const float s = score(base, row);
      if (plot_.rows[row][0] == plot_.bases[base] || !std::isfinite(s)) continue;
      sum -= double{s};
      ++n;
    }
    return n > 0 ? sum / n : 0;
  }

  void logo() {
    double tallest = 1e-9;
    for (std::size_t i = 0; i < plot_.bases.size(); ++i) {
      tallest = std::max(tallest, std::abs(loss(i)));
    }
    const double middle = kTop + kLogo * 0.75;
    out_ += "<line x1=\"" + number(kLeft) + "\" x2=\"" + number(x_of(plot_.bases.size())) +
            "\" y1=\"" + number(middle) + "\" y2=\"" + number(middle) + "\" stroke=\"#888888\"/>\n";
    out_ += text_at(4, middle - 30, "loss", "fill=\"#444444\"");
    for (std::size_t i = 0; i < plot_.bases.size(); ++i) {
      // A letter of 10 units is about 7.3 tall; it hangs below the line where changes are likelier.
      const double share = loss(i) / tallest;
      const double scale = share * kLogo * (share > 0 ? 0.75 : 0.25) / 7.3;
      out_ += "<text transform=\"translate(" + number(x_of(i) + kCell / 2) + ',' + number(middle) +
              ") scale(1.3," + number(scale) + ")\" text-anchor=\"middle\" fill=\"" +
              letter_colour(plot_.bases[i]) + "\">" + escaped(std::string(1, plot_.bases[i])) +
              "</text>\n";
    }
  }

  void map() {
    for (std::size_t row = 0; row < plot_.rows.size(); ++row) {
      const double y = map_top() + kCell * static_cast<double>(row);
      out_ += text_at(kLeft - 6, y + 10, plot_.rows[row], "text-anchor=\"end\"");
      for (std::size_t i = 0; i < plot_.bases.size(); ++i) {
        const float s = score(i, row);
        const bool none = !std::isfinite(s);
        out_ += "<rect x=\"" + number(x_of(i)) + "\" y=\"" + number(y) + "\" width=\"" +
                number(kCell) + "\" height=\"" + number(kCell) + "\" fill=\"" +
                (none ? "#dddddd" : colour(largest_ > 0 ? double{s} / largest_ : 0)) + "\"/>\n";
      }
    }
    out_ += text_at(kLeft, map_top() - 8,
                    "red: less likely than the reference, down to " + number(-largest_) +
                        "; blue: more, up to " + number(largest_),
                    "fill=\"#444444\"");
  }

  void axis() {
    const double y = map_top() + kCell * static_cast<double>(plot_.rows.size());
    for (std::size_t i = 0; i < plot_.bases.size(); ++i) {
      const Index place = plot_.begin + static_cast<Index>(i) + 1;
      if (i == 0 || place % 10 == 0) {
        out_ += text_at(x_of(i), y + 14, std::to_string(place), "fill=\"#444444\"");
      }
    }
    out_ += text_at(kLeft, y + 30, plot_.contig, "fill=\"#444444\"");
  }

  const EffectPlot& plot_;
  double largest_ = 0;
  std::string out_;
};

}  // namespace

std::string effect_svg(const EffectPlot& plot) { return Drawing(plot).svg(); }

}  // namespace genossm
