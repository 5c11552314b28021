#include "ibot/data/listing.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "data/pictures.h"
#include "ibot/base/error.h"
#include "ibot/data/image_folder.h"
#include "ibot/io/safetensors.h"
#include "support/temporary_folder.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;

class ListingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("XDG_CACHE_HOME", (folder_ / "cache").c_str(), 1);
    for (int i = 0; i < 40; ++i) add("b/" + std::to_string(100 + i) + ".jpg");
    add("a/deep/x.png");
    fs::create_directory(root_ / "c");
  }

  void add(const std::string& name) const { testing::write_bytes(root_ / name, {1, 2, 3}); }

  /// As if nothing had changed for a while: folders have rested.
  void let_rest() const {
    const auto then = fs::file_time_type::clock::now() - std::chrono::hours(1);
    for (const auto& entry : fs::recursive_directory_iterator(root_)) {
      if (entry.is_directory()) fs::last_write_time(entry.path(), then);
    }
    fs::last_write_time(root_, then);
  }

  static std::vector<std::string> paths(const Listing& listing) {
    std::vector<std::string> paths;
    for (int64_t i = 0; i < listing.size(); ++i) {
      paths.push_back(listing.path(i) + " " + std::to_string(listing.label(i)));
    }
    return paths;
  }

  const testing::TemporaryFolder folder_;
  const fs::path root_ = folder_ / "set";
  const fs::path file_ = folder_ / ".set.ibot-listing";
};

TEST_F(ListingTest, ReadsWhatItWrote) {
  const auto listing = list_images(root_);
  EXPECT_EQ(listing.size(), 41);
  EXPECT_EQ(listing.path(0), "a/deep/x.png");
  EXPECT_EQ(listing.path(40), "b/139.jpg");
  listing.write(file_, root_);
  const auto read = read_listing(file_, root_);
  ASSERT_TRUE(read);
  EXPECT_EQ(paths(*read), paths(listing));
  EXPECT_EQ(read->class_names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(read->is_current(root_));
}

// A file that came without its folder's time changing shows who did not look.
TEST_F(ListingTest, IsReadAgainWhileNoFolderChanges) {
  let_rest();
  EXPECT_EQ(ImageFolder(root_, 41).size(), 41);
  const auto time = fs::last_write_time(root_ / "b");
  add("b/unseen.jpg");
  fs::last_write_time(root_ / "b", time);
  EXPECT_EQ(ImageFolder(root_).size(), 41);

  int64_t images = 42;
  for (const std::string change : {"b/new.jpg", "a/deep/new.jpg", "c/new.jpg", "new/x.jpg"}) {
    add(change);
    EXPECT_EQ(ImageFolder(root_, 41).size(), ++images) << change;
    let_rest();
    EXPECT_EQ(ImageFolder(root_, 41).size(), images);
  }
  fs::remove(root_ / "c/new.jpg");
  EXPECT_EQ(ImageFolder(root_).size(), images - 1);
}

TEST_F(ListingTest, IsKeptOnlyWhereItPaysAndCanBeTrusted) {
  EXPECT_EQ(ImageFolder(root_, 41).size(), 41);
  EXPECT_FALSE(fs::exists(file_)) << "folders changed a moment ago";
  let_rest();
  EXPECT_EQ(ImageFolder(root_, 42).size(), 41);
  EXPECT_FALSE(fs::exists(file_)) << "too few images";
  EXPECT_EQ(ImageFolder(root_, 41).size(), 41);
  EXPECT_TRUE(fs::exists(file_));
}

TEST_F(ListingTest, KeepsItsNotes) {
  add("b/.hidden.jpg");
  add("b/x.txt");
  const auto listing = list_images(root_);
  ASSERT_EQ(listing.notes().size(), 2U);
  listing.write(file_, root_);
  EXPECT_EQ(read_listing(file_, root_)->notes(), listing.notes());
}

TEST_F(ListingTest, KeepsAFlatFolder) {
  const auto flat = folder_ / "flat";
  testing::write_bytes(flat / "x.jpg", {1});
  testing::write_bytes(flat / "sub/x.txt", {1});
  list_images(flat).write(folder_ / "flat.listing", flat);
  const auto read = read_listing(folder_ / "flat.listing", flat);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->path(0), "x.jpg");
  EXPECT_TRUE(read->is_current(flat));
}

// Listings that were kept under format 1 hold names that are passed over now.
TEST_F(ListingTest, TellsTheRulesItWasMadeBy) {
  list_images(root_).write(file_, root_);
  EXPECT_EQ(io::read_safetensors(file_).metadata.at("format"), "ibot listing 2");
}

TEST_F(ListingTest, ThoseWhoComeTogetherGetTheSame) {
  let_rest();
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { right += current_listing(root_, 41).size() == 41 ? 1 : 0; });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 8);
  EXPECT_TRUE(read_listing(file_, root_));
}

TEST_F(ListingTest, ACacheFolderTakesItWhereTheDataCannot) {
  let_rest();
  fs::create_directory(file_);  // in the way even of the superuser
  EXPECT_EQ(ImageFolder(root_, 1).size(), 41);
  ASSERT_EQ(testing::entries_in(folder_ / "cache/ibot"), 1U);
  const auto kept = fs::directory_iterator(folder_ / "cache/ibot")->path();
  EXPECT_TRUE(read_listing(kept, root_));
  EXPECT_EQ(ImageFolder(root_, 1).size(), 41);
}

TEST_F(ListingTest, ADamagedFileIsNoListing) {
  list_images(root_).write(file_, root_);
  const auto whole = testing::read_bytes(file_);
  EXPECT_FALSE(read_listing(file_, folder_ / "other"));
  EXPECT_FALSE(read_listing(folder_ / "none", root_));
  for (size_t size = 0; size < whole.size(); size += 50) {
    testing::write_bytes(file_, {whole.begin(), whole.begin() + static_cast<long>(size)});
    EXPECT_FALSE(read_listing(file_, root_)) << size;
  }
  for (size_t i = 0; i < whole.size(); i += 3) {
    auto bytes = whole;
    bytes[i] ^= 1;
    testing::write_bytes(file_, bytes);
    EXPECT_FALSE(read_listing(file_, root_)) << i;
  }
}

TEST(NameTable, FindsEveryName) {
  NameTableBuilder builder;
  for (int i = 0; i < 100; ++i) builder.add(std::string(i % 7, 'x') + std::to_string(i));
  const auto table = builder.build();
  ASSERT_EQ(table.size(), 100);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(table[i], std::string(i % 7, 'x') + std::to_string(i));
  EXPECT_EQ(table.marks().size(0), 7);
  EXPECT_THROW(NameTable(table.text(), table.marks(), 113), DataError);
}

TEST_F(ListingTest, ListsEveryImageWhereFoldersAreNoClasses) {
  add("top.jpg");
  EXPECT_EQ(list_images(root_).size(), 41);
  const auto all = list_images(root_, Subfolders::kNothing);
  EXPECT_EQ(all.size(), 42);
  EXPECT_EQ(all.class_names(), std::vector<std::string>{""});
  EXPECT_EQ(all.path(0), "top.jpg");
  EXPECT_EQ(all.path(1), "a/deep/x.png");
  EXPECT_EQ(all.notes().size(), 1U);
}

// Each reading of a mixed folder is kept in a file of its own.
TEST_F(ListingTest, ReadingsOfAMixedFolderAreKeptApart) {
  add("top.jpg");
  let_rest();
  for (int time = 0; time < 2; ++time) {
    EXPECT_EQ(current_listing(root_, 1).size(), 41);
    EXPECT_EQ(current_listing(root_, 1, Subfolders::kNothing).size(), 42);
  }
  EXPECT_EQ(read_listing(file_, root_)->size(), 41);
  EXPECT_EQ(read_listing(folder_ / ".set.ibot-images", root_)->size(), 42);
  EXPECT_EQ(meaning_of_subfolders(root_), Subfolders::kNothing);
  fs::remove(root_ / "top.jpg");
  EXPECT_EQ(meaning_of_subfolders(root_), Subfolders::kClasses);
}

}  // namespace
}  // namespace ibot::data
