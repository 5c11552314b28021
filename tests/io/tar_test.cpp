#include "ibot/io/tar.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "ibot/base/error.h"
#include "support/python.h"

namespace ibot::io {
namespace {

class TarTest : public ::testing::Test {
 protected:
  void write(const std::string& bytes) {
    std::ofstream(file_, std::ios::binary | std::ios::trunc) << bytes;
  }

  /// Three files, the second with a name too long for a header.
  std::string archive() const {
    std::string bytes;
    const ByteSink sink = [&](const void* data, size_t size) {
      bytes.append(static_cast<const char*>(data), size);
    };
    TarWriter tar(sink);
    EXPECT_EQ(tar.add("a/1.jpg", "first"), 512U);
    EXPECT_EQ(tar.add(long_name_, std::string(512, 'x')), 1024U + 3 * 512);
    tar.add("a/1.cls", "");
    tar.finish();
    EXPECT_EQ(tar.size(), bytes.size());
    return bytes;
  }

  std::vector<TarEntry> entries() const {
    TarReader reader(file_);
    std::vector<TarEntry> entries;
    while (auto entry = reader.next()) entries.push_back(std::move(*entry));
    return entries;
  }

  const std::string long_name_ = "b/" + std::string(120, 'n') + "/\xc3\xa4.jpg";
  const testing::TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_ / "x.tar";
};

TEST_F(TarTest, ReadsWhatItWrote) {
  write(archive());
  TarReader reader(file_);
  for (const auto& [name, content] : std::vector<std::pair<std::string, std::string>>{
           {"a/1.jpg", "first"}, {long_name_, std::string(512, 'x')}, {"a/1.cls", ""}}) {
    const auto entry = reader.next();
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->name, name);
    EXPECT_EQ(entry->damage, "");
    EXPECT_EQ(reader.content(*entry), content);
  }
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.next());
}

TEST_F(TarTest, PythonReadsTheSame) {
  if (!testing::python_has("tarfile")) GTEST_SKIP() << "no Python";
  write(archive());
  EXPECT_EQ(
      testing::python_output("import tarfile\nt = tarfile.open('" + file_.string() +
                             "', 'r:')\n"
                             "for m in t: print(ascii(m.name), len(t.extractfile(m).read()), "
                             "m.mode)\n"),
      "'a/1.jpg' 5 420\n'b/" + std::string(120, 'n') + "/\\xe4.jpg' 512 420\n'a/1.cls' 0 420\n");
}

// Each of Python's formats, with folders and links in between.
TEST_F(TarTest, ReadsWhatPythonWrites) {
  if (!testing::python_has("tarfile")) GTEST_SKIP() << "no Python";
  for (const std::string format : {"USTAR", "GNU", "PAX"}) {
    SCOPED_TRACE(format);
    testing::python_output("import io, tarfile\nt = tarfile.open('" + file_.string() +
                           "', 'w', format=tarfile." + format +
                           "_FORMAT)\n"
                           "def add(name, kind, data=b''):\n"
                           "  m = tarfile.TarInfo(name)\n"
                           "  m.type, m.size, m.linkname = kind, len(data), 'a'\n"
                           "  t.addfile(m, io.BytesIO(data))\n"
                           "add('d', tarfile.DIRTYPE)\n"
                           "add('d/' + 90 * 'p' + '/' + 90 * 'q', tarfile.REGTYPE, b'12345')\n"
                           "add('link', tarfile.SYMTYPE)\n"
                           "add('z', tarfile.REGTYPE, 700 * b'7')\n"
                           "t.close()\n");
    TarReader reader(file_);
    while (reader.next()) continue;
    EXPECT_EQ(reader.skipped(), 1);  // the link, not the folder
    const auto found = entries();
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0].name, "d/" + std::string(90, 'p') + "/" + std::string(90, 'q'));
    EXPECT_EQ(TarReader(file_).content(found[0]), "12345");
    EXPECT_EQ(found[1].name, "z");
    EXPECT_EQ(TarReader(file_).content(found[1]), std::string(700, '7'));
    EXPECT_EQ(found[0].damage + found[1].damage, "");
  }
}

TEST_F(TarTest, ADamagedHeaderIsOneEntryAndReadingGoesOn) {
  const auto whole = archive();
  for (const size_t flipped : {size_t{0}, size_t{130}, size_t{150}}) {
    auto bytes = whole;
    bytes[flipped] ^= 1;
    write(bytes);
    const auto found = entries();
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[0].name, "");
    EXPECT_EQ(found[0].begin, 0U);
    EXPECT_EQ(found[0].size, 1024U);
    EXPECT_NE(found[0].damage, "");
    EXPECT_EQ(found[1].name, long_name_);
    EXPECT_EQ(found[2].name, "a/1.cls");
  }
}

TEST_F(TarTest, EveryTruncationShows) {
  const auto whole = archive();
  for (size_t size = 0; size < whole.size() - 1024; size += 100) {
    write(whole.substr(0, size));
    const auto found = entries();
    ASSERT_FALSE(found.empty()) << size;
    EXPECT_NE(found.back().damage, "") << size;
    for (size_t i = 0; i + 1 < found.size(); ++i) EXPECT_EQ(found[i].damage, "") << size;
  }
  write(whole.substr(0, 700));
  EXPECT_EQ(entries()[0].damage, "");  // five bytes of it were left
  write(whole.substr(0, 2000));
  EXPECT_NE(entries()[1].damage, "");
}

// A header with a checksum of its own that claims the rest of the world.
TEST_F(TarTest, ASizeBeyondTheArchiveTakesNoMemory) {
  std::string bytes = archive();
  bytes.replace(124, 11, "77777777777");
  int sum = 0;
  for (int i = 0; i < 512; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<uint8_t>(bytes[i]);
  char digits[8];
  std::snprintf(digits, sizeof(digits), "%06o", sum);
  bytes.replace(148, 6, digits, 6);
  write(bytes);
  const auto found = entries();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NE(found[0].damage.find("cut off"), std::string::npos);
}

TEST_F(TarTest, RefusesWhatIsNoFile) {
  EXPECT_THROW(TarReader(folder_ / "none"), DataError);
  EXPECT_THROW(TarReader{folder_.path()}, DataError);
}

}  // namespace
}  // namespace ibot::io
