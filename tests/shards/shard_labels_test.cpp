// Labels of shards as texts, against Python's int().
#include <gtest/gtest.h>

#include "ibot/base/error.h"
#include "ibot/shards/shard_set.h"
#include "shards/archives.h"
#include "support/python.h"

namespace ibot::data {
namespace {

const std::vector<std::string> kTexts{
    "5",       " 5",      "+5",           "5\t",    "\n\t 5\r\n", "-1",
    "007",     "1_000",   "1__0",         "_1",     "1_",         "",
    " ",       "+",       "5.0",          "0x10",   "5 6",        "+-5",
    "+ 5",     "1e3",     "\u0665",       "\uff15", "\u00a05",    "\u30005",
    "\u20285", "\u09675", "\u00b2",       "dog",    "5\x0c",      "5\x1f",
    "\u2460",  "-0",      "\u0e53\u0e50", "\xff",   "5\xc3",      "9999999",
};

class ShardLabels : public ::testing::Test {
 protected:
  /// Of one image of that label, beside one of label `other`.
  ShardSet labeled(const std::string& text, const std::string& other) const {
    const auto file = folder_ / "x.tar";
    testing::write_tar(file, {{"a.jpg", "1"}, {"a.cls", text}, {"b.jpg", "2"}, {"b.cls", other}});
    return ShardSet(file.string());
  }

  static bool is_usable(const ShardSet& shards) {
    try {
      shards.read(0);
      return true;
    } catch (const DataError&) {
      return false;
    }
  }

  const testing::TemporaryFolder folder_;
};

TEST_F(ShardLabels, NumbersAreReadAsPythonDoes) {
  if (!testing::python_has("json")) GTEST_SKIP() << "no Python";
  std::string program =
      "def f(b):\n"
      "  try: print(int(b.decode()) if int(b.decode()) >= 0 else '-')\n"
      "  except ValueError: print('-')\n";
  std::string ours;
  for (const auto& text : kTexts) {
    program += "f(bytes([";
    for (const unsigned char c : text) program += std::to_string(c) + ",";
    program += "]))\n";
    const auto shards = labeled(text, "0");
    ours += is_usable(shards) ? std::to_string(shards.label(0)) + "\n" : "-\n";
  }
  EXPECT_EQ(ours, testing::python_output(program));
}

TEST_F(ShardLabels, NumbersWithoutPython) {
  for (const std::string text : {"12", " +12\t", "1_2", "\u0661\u0662", "\ufeff12\r\n"}) {
    const auto shards = labeled(text, "0");
    EXPECT_TRUE(is_usable(shards)) << text;
    EXPECT_EQ(shards.label(0), 12) << text;
  }
  for (const std::string text : {"12.0", "-1", "10000000", "99999999999999999999", "cat", "\xff"}) {
    EXPECT_FALSE(is_usable(labeled(text, "0"))) << text;
  }
}

TEST_F(ShardLabels, AWordIsOneLineOfText) {
  EXPECT_EQ(labeled(" golden retriever\n", "ape").class_names(),
            (std::vector<std::string>{"ape", "golden retriever"}));
  EXPECT_EQ(labeled("\u732b\U0001F436", "\u00e4").class_names(),
            (std::vector<std::string>{"\u00e4", "\u732b\U0001F436"}));
  for (const std::string text : {"", " \n", "a\nb", "\x01", "\xff\xfe", "a\xc3"}) {
    const auto shards = labeled(text, "ape");
    EXPECT_FALSE(is_usable(shards)) << text;
    EXPECT_NE(shards.path(0).find("a.cls: expected the number or the name of a class"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace ibot::data
