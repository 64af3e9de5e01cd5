#include "libgenossm/base/flat_yaml.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"

namespace genossm {
namespace {

TEST(FlatYaml, ScalarsListsAndComments) {
  const Json json = parse_flat_yaml(
      "# a config\n---\nname: tiny-random  # of no size\nsize: 512\neps: 1e-06\r\non: True\n"
      "off: false\nnothing: null\nempty:\nlist: [3, 10,17]\nnone: []\nlong: [1,\n  2,\n  3]\n"
      "place: a.b.c:d\nquoted: \"x # y\"\ndot: .5\nhash: a#b\n",
      "c.yml");
  EXPECT_EQ(json.text("name"), "tiny-random");
  EXPECT_EQ(json.integer("size"), 512);
  EXPECT_DOUBLE_EQ(json.number("eps"), 1e-6);
  EXPECT_TRUE(json.flag("on", false));
  EXPECT_FALSE(json.flag("off", true));
  EXPECT_FALSE(json.has("nothing"));
  EXPECT_FALSE(json.has("empty"));
  ASSERT_EQ(json.array("list").size(), 3);
  EXPECT_EQ(json.array("list").at(2).as_integer(), 17);
  EXPECT_EQ(json.array("none").size(), 0);
  EXPECT_EQ(json.array("long").at(2).as_integer(), 3);
  EXPECT_EQ(json.text("place"), "a.b.c:d");
  EXPECT_EQ(json.text("quoted"), "x # y");
  EXPECT_EQ(json.text("dot"), ".5");
  EXPECT_EQ(json.text("hash"), "a#b");
}

TEST(FlatYaml, WhatIsNoneIsRefusedByItsLine) {
  for (const char* text : {"a: 1\nb\n", "a: 1\n  b: 2\n", "a: 1\nb: [1, 2\n", "a: 1\n: 2\n",
                           "a: 1\nb: [[1]]\n", "a: 1\nb:2\n"}) {
    SCOPED_TRACE(text);
    try {
      parse_flat_yaml(text, "c.yml");
      FAIL();
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::checkpoint);
      EXPECT_NE(std::string(e.what()).find("c.yml: line 2"), std::string::npos) << e.what();
    }
  }
  EXPECT_THROW(parse_flat_yaml("a: 1\na: 2\n", "c.yml"), Error);
}

}  // namespace
}  // namespace genossm
