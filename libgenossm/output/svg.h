// The little of SVG that plots are made of: shapes, text, axes with round numbers.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace genossm {

class Svg {
 public:
  Svg(double width, double height);  // white

  // `more`: further attributes, as they stand in the file.
  void text(double x, double y, const std::string& text, const std::string& more = "");
  void line(double x1, double y1, double x2, double y2, const std::string& colour,
            const std::string& more = "");
  void rect(double x, double y, double width, double height, const std::string& colour,
            const std::string& more = "");
  void circle(double x, double y, double radius, const std::string& colour,
              const std::string& more = "");
  void polyline(const std::vector<std::pair<double, double>>& points, const std::string& colour,
                const std::string& more = "");
  // A, C, G, T, and N for every other, as a shape that fills the box: text that is stretched comes
  // out otherwise in every viewer.
  void letter(double x, double y, double width, double height, char base);
  void polygon(const std::vector<std::pair<double, double>>& points, const std::string& colour);

  std::string finish();  // the whole document; call once

 private:
  std::string out_;
};

// About what a text of that size takes on the page.
double text_width(const std::string& text, double size = 10);

inline constexpr const char* kGrey = "#444444";
inline constexpr const char* kFaint = "#dddddd";

const char* base_colour(char base);                       // of the letter in a logo
std::string series_colour(std::size_t i, std::size_t n);  // of line i of n, dark to light
std::string group_colour(std::size_t i);                  // of group i, ten that differ

// An axis from data to the page, linear or by powers of ten.
class Axis {
 public:
  // Data from `low` to `high` (made a little wider), on the page from `from` to `to`. With
  // `logarithmic` both must be above 0.
  Axis(double low, double high, double from, double to, bool logarithmic = false);
  double at(double value) const;
  // Round numbers within, about `most` of them.
  std::vector<double> ticks(int most) const;
  // The number as it stands at the axis.
  static std::string label(double value);

 private:
  double low_, high_, from_, to_;
  bool logarithmic_;
};

// Round places between two integers, both within.
std::vector<long long> round_places(long long low, long long high, int most);

}  // namespace genossm
