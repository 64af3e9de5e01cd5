#include "libgenossm/base/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "kernels/core/error.h"

namespace genossm {
namespace {

Json parse(std::string_view text) { return Json::parse(text, "config.json"); }

std::string message_of(const auto& body) {
  try {
    body();
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::checkpoint);
    return e.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

std::string refusal(const std::string& text) {
  return message_of([&] { parse(text); });
}

TEST(Json, DumpReadsBackAsItWas) {
  const std::string text =
      R"({"d": 64, "eps": 1e-05, "whole": 2.0, "big": 1e+300, "flag": false, "none": null, )"
      R"("text": "a\"b\\c\u000ad\u00e9", "list": [1, [-2, 0.1], {}, []], "limit": [Infinity, NaN]})";
  const Json json = parse(text);
  const Json again = parse(json.dump());
  EXPECT_EQ(again.dump(), json.dump());
  EXPECT_EQ(again.keys(), json.keys());
  EXPECT_TRUE(again.value("d").is_integer());
  EXPECT_FALSE(again.value("whole").is_integer());
  EXPECT_EQ(again.number("eps"), 1e-5);
  EXPECT_EQ(again.number("big"), 1e300);
  EXPECT_EQ(again.text("text"), "a\"b\\c\nd\u00e9");
  EXPECT_EQ(again.array("list").at(1).at(1).as_number(), 0.1);
  EXPECT_TRUE(std::isinf(again.array("limit").at(0).as_number()));
  EXPECT_TRUE(std::isnan(again.array("limit").at(1).as_number()));
}

TEST(Json, ValuesOfEveryKind) {
  const Json json = parse(R"({"d_model": 64, "eps": 1e-5, "tied": true, "name": "m\u00e9\n",
      "none": null, "list": [1, [2, 3], {}], "ssm_cfg": {"layer": "Mamba2"}})");
  EXPECT_TRUE(json.is_object());
  EXPECT_EQ(json.size(), 7);
  EXPECT_EQ(json.integer("d_model"), 64);
  EXPECT_DOUBLE_EQ(json.number("eps"), 1e-5);
  EXPECT_EQ(json.number("d_model"), 64.0);
  EXPECT_TRUE(json.flag("tied", false));
  EXPECT_EQ(json.text("name"), "m\xc3\xa9\n");
  EXPECT_EQ(json.object("ssm_cfg").text("layer"), "Mamba2");
  EXPECT_EQ(json.array("list").at(1).at(1).as_integer(), 3);
  EXPECT_TRUE(json.array("list").at(2).is_object());
  EXPECT_EQ(json.object("ssm_cfg").value("layer").where(), "config.json: ssm_cfg.layer");
  EXPECT_EQ(json.array("list").at(1).at(0).where(), "config.json: list[1][0]");
}

TEST(Json, KeysKeepTheOrderOfTheFile) {
  const std::vector<std::string> wanted = {"zeta", "alpha", "mid", "alp"};
  EXPECT_EQ(parse(R"({"zeta":1,"alpha":2,"mid":3,"alp":4})").keys(), wanted);
  EXPECT_EQ(parse(R"({"zeta":1,"alpha":2,"mid":3,"alp":4})").integer("alp"), 4);
}

TEST(Json, DefaultsServeTheAbsentAndTheNull) {
  const Json json = parse(R"({"none": null, "zero": 0})");
  EXPECT_FALSE(json.has("none"));
  EXPECT_FALSE(json.has("other"));
  EXPECT_TRUE(json.has("zero"));
  EXPECT_EQ(json.integer("none", 5), 5);
  EXPECT_EQ(json.integer("zero", 5), 0);
  EXPECT_EQ(json.number("other", 0.5), 0.5);
  EXPECT_EQ(json.text("other", "x"), "x");
  EXPECT_TRUE(json.flag("none", true));
  EXPECT_EQ(json.object_or_empty("other").size(), 0);
  EXPECT_EQ(Json().size(), 0);
}

TEST(Json, MessagesNameTheKeyAndWhatWasWanted) {
  const Json json = parse(R"({"d": "64", "ssm_cfg": {"d_state": 1.5, "l": [1]}, "b": 1})");
  EXPECT_EQ(message_of([&] { json.integer("d"); }),
            "config.json: d is the text \"64\", want an integer");
  EXPECT_EQ(message_of([&] { json.integer("d", 3); }),
            "config.json: d is the text \"64\", want an integer");
  EXPECT_EQ(message_of([&] { json.object("ssm_cfg").integer("d_state"); }),
            "config.json: ssm_cfg.d_state is the number 1.500000, want an integer");
  EXPECT_EQ(message_of([&] { json.integer("d_model"); }),
            "config.json: the key \"d_model\" is missing");
  EXPECT_EQ(message_of([&] { json.object("ssm_cfg").text("x"); }),
            "config.json: ssm_cfg: the key \"x\" is missing");
  EXPECT_EQ(message_of([&] { json.flag("b", true); }), "config.json: b is 1, want true or false");
  EXPECT_EQ(message_of([&] { json.array("ssm_cfg"); }),
            "config.json: ssm_cfg is an object, want an array");
  EXPECT_EQ(message_of([&] { json.object("ssm_cfg").array("l").at(1); }),
            "config.json: ssm_cfg.l has 1 elements, element 1 was asked for");
}

TEST(Json, InfinityAndNan) {
  const Json json = parse(R"({"a": [0.001, Infinity], "b": -Infinity, "c": NaN,
      "d": {"__float__": "Infinity"}, "e": {"__float__": "-Infinity"}, "f": {"__float__": "NaN"},
      "t": "Infinity, NaN", "g": {"__float__": "1"}})");
  EXPECT_EQ(json.array("a").at(1).as_number(), INFINITY);
  EXPECT_EQ(json.number("b"), -INFINITY);
  EXPECT_TRUE(std::isnan(json.number("c")));
  EXPECT_EQ(json.number("d"), INFINITY);
  EXPECT_EQ(json.number("e"), -INFINITY);
  EXPECT_TRUE(std::isnan(json.number("f")));
  EXPECT_EQ(json.text("t"), "Infinity, NaN");
  EXPECT_TRUE(json.value("g").is_object());
  EXPECT_FALSE(json.value("d").is_object());
  for (const char* bad : {"Infinit", "Inf", "-NaN", "nan", "+Infinity", "InfinityX", "-", "[Na]"}) {
    refusal(bad);
  }
}

TEST(Json, DuplicateKeysAreRefused) {
  EXPECT_NE(refusal(R"({"a": 1, "b": 2, "a": 3})").find("\"a\" stands twice"), std::string::npos);
  refusal(R"({"a": 1, "\u0061": 3})");
  refusal(R"([{"x": {"": 1, "": 1}}])");
  EXPECT_NO_THROW(parse(R"([{"x": 1}, {"x": 1}, {"y": {"x": {"y": 0}}}])"));
}

TEST(Json, MessagesHaveLineAndColumn) {
  EXPECT_EQ(refusal("{\n  \"a\": 1,\n  \"b\": ?\n}"),
            "config.json: line 3, column 8: want a value");
  EXPECT_EQ(refusal("{\"a\": Infinity, \"b\": x}"), "config.json: line 1, column 22: want a value");
  EXPECT_EQ(refusal("{} x"), "config.json: line 1, column 4: text after the end of the document");
  EXPECT_EQ(refusal(""),
            "config.json: line 1, column 1: the document ends where a value was wanted");
}

TEST(Json, WhatIsNoJson) {
  for (const char* bad : {"{",
                          "[",
                          "[1",
                          "[1,",
                          "[1,]",
                          "{\"a\"",
                          "{\"a\":",
                          "{\"a\":1",
                          "{\"a\":1,",
                          "{\"a\":1,}",
                          "{a:1}",
                          "{'a':1}",
                          "[1 2]",
                          "[1}",
                          "{\"a\":1]",
                          "]",
                          "}",
                          ",",
                          ":",
                          "tru",
                          "truex",
                          "nul",
                          "01",
                          "-01",
                          "1.",
                          ".5",
                          "1e",
                          "1e+",
                          "+1",
                          "0x10",
                          "--1",
                          "1_0",
                          "\"abc",
                          "\"\\x\"",
                          "\"\\u12\"",
                          "\"\\u12g4\"",
                          "\"\\ud800\"",
                          "\"\\udc00\"",
                          "\"\\ud800\\u0041\"",
                          "\"a\nb\"",
                          "\"\t\"",
                          "\xef\xbb\xbf{}",
                          "\"\xff\"",
                          "\"\xed\xa0\x80\"",
                          "1e400",
                          "// x\n1",
                          "[1]//",
                          "{}{}",
                          "{} {}",
                          "\f1"}) {
    EXPECT_FALSE(refusal(bad).empty()) << bad;
  }
  refusal(std::string("1\0", 2));
  refusal(std::string("\"a\0\"", 4));
}

TEST(Json, Escapes) {
  EXPECT_EQ(parse(R"("\"\\\/\b\f\n\r\t\u0041\u20AC\ud83d\ude00")").as_text(),
            "\"\\/\b\f\n\r\tA\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(parse(R"("\u0000")").as_text(), std::string(1, '\0'));
}

TEST(Json, Integers) {
  EXPECT_EQ(parse("9223372036854775807").as_integer(), INT64_MAX);
  EXPECT_EQ(parse("-9223372036854775808").as_integer(), INT64_MIN);
  EXPECT_EQ(parse("-0").as_integer(), 0);
  // Python writes int(1e30) as tokenizer limit: a number, and no integer of ours.
  const Json big = parse("1000000000000000019884624838656");
  EXPECT_EQ(big.as_number(), 1e30);
  EXPECT_FALSE(big.is_integer());
  message_of([&] { big.as_integer(); });
  message_of([&] { parse("1.0").as_integer(); });
  message_of([&] { parse("1e3").as_integer(); });
}

TEST(Json, DepthIsLimitedWithoutAnyRecursion) {
  EXPECT_NO_THROW(parse(std::string(512, '[') + std::string(512, ']')));
  EXPECT_NE(refusal(std::string(513, '[') + std::string(513, ']')).find("deeper"),
            std::string::npos);
  refusal(std::string(1'000'000, '['));
  std::string objects;
  for (int i = 0; i < 1'000'000; ++i) objects += "{\"a\":";
  refusal(objects);
}

TEST(Json, TheNumberOfValuesIsLimited) {
  std::string many = "[0";
  for (int i = 0; i < 2'000'000; ++i) many += ",0";
  many += ']';
  EXPECT_NE(refusal(many).find("more than 2000000 values"), std::string::npos);
}

TEST(Json, ManyKeysAreFoundFast) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) {
    text += (i ? ",\"key" : "\"key") + std::to_string(i) + "\":" + std::to_string(i);
  }
  const Json json = parse(text + '}');
  for (int i = 0; i < 200'000; ++i) ASSERT_EQ(json.integer("key" + std::to_string(i)), i);
}

TEST(Json, FileThatIsNotThere) {
  try {
    Json::read("no/such/config.json");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::missing);
  }
}

// ---- against nlohmann-json

void expect_same(const Json& ours, const nlohmann::ordered_json& theirs) {
  if (theirs.is_object()) {
    ASSERT_TRUE(ours.is_object());
    ASSERT_EQ(ours.size(), static_cast<Index>(theirs.size()));
    std::size_t i = 0;
    const std::vector<std::string> keys = ours.keys();
    for (const auto& [key, value] : theirs.items()) {
      ASSERT_EQ(keys[i++], key);
      if (!value.is_null()) expect_same(ours.value(key), value);
    }
  } else if (theirs.is_array()) {
    ASSERT_EQ(ours.size(), static_cast<Index>(theirs.size()));
    for (std::size_t i = 0; i < theirs.size(); ++i) {
      expect_same(ours.at(static_cast<Index>(i)), theirs[i]);
    }
  } else if (theirs.is_string()) {
    ASSERT_EQ(ours.as_text(), theirs.get<std::string>());
  } else if (theirs.is_boolean()) {
    ASSERT_EQ(ours.as_flag(), theirs.get<bool>());
  } else if (theirs.is_number()) {
    ASSERT_EQ(ours.as_number(), theirs.get<double>());
  } else {
    ASSERT_TRUE(ours.is_null());
  }
}

// Random edits of a document: what we accept, the other reader accepts with the same values; what
// only it accepts, we refuse for one of the reasons that we have and it has not.
TEST(Json, AgreesWithNlohmannOnEditedDocuments) {
  const std::string seed =
      R"({"d_model":256,"eps":1e-05,"x":[1,-2.5,{"y":"\u00e9\ud83d\ude00\\"},[],{}],)"
      R"("t":true,"n":null,"s":"a,b:c","z":{"q":0.125,"r":[[[0]]]}})";
  const std::string letters = "{}[],:\"\\0123456789.eE+-truefalsn \n\tu\x01\xc3\xa9/";
  std::mt19937 random(11);
  int accepted = 0, refused = 0;
  for (int round = 0; round < 100'000; ++round) {
    std::string text = seed;
    for (int edits = 1 + static_cast<int>(random() % 3); edits > 0; --edits) {
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = letters[random() % letters.size()];
          break;
        case 1:
          text.erase(at, 1 + random() % 3);
          break;
        default:
          text.insert(at, 1, letters[random() % letters.size()]);
      }
    }
    const auto theirs = nlohmann::ordered_json::parse(text, nullptr, false);
    try {
      const Json ours = parse(text);
      ASSERT_FALSE(theirs.is_discarded()) << text;
      expect_same(ours, theirs);
      ++accepted;
    } catch (const Error& e) {
      const std::string what = e.what();
      if (!theirs.is_discarded()) {
        ASSERT_TRUE(what.find("stands twice") != std::string::npos ||
                    what.find("range of a double") != std::string::npos)
            << text << "\n"
            << what;
      }
      ++refused;
    }
    if (HasFatalFailure()) FAIL() << text;
  }
  EXPECT_GT(accepted, 5000);
  EXPECT_GT(refused, 5000);
}

TEST(Json, EveryTruncationIsRefused) {
  const std::string text = R"({"a": [1, {"b": "\u00e9x"}, -1.5e-3], "c": Infinity, "d": null})";
  EXPECT_NO_THROW(parse(text));
  for (std::size_t n = 0; n < text.size(); ++n) refusal(text.substr(0, n));
}

}  // namespace
}  // namespace genossm
