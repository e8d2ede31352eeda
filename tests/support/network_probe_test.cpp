// Real connections on the loopback; invented clusters for whom the answers blame.
#include "support/network_probe.hpp"

#include <gmock/gmock.h>

#include <algorithm>

namespace dovetail {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Addresses = std::vector<std::string>;

TEST(NetworkProbe, AHostWhereNobodyListensAnswersAndWhatIsNoHostDoesNot) {
  // A host that is cut off: tests/jobs/hosts_test.sh.
  EXPECT_THAT(which_answer({"127.0.0.1", "255.255.255.255", "127.0.0.2", "no address"}, 0.3),
              ElementsAre(true, false, true, false));
}

TEST(NetworkProbe, ThousandsOfAddressesDoNotRunOutOfFiles) {
  const std::vector<bool> answers = which_answer(Addresses(3000, "127.0.0.1"), 5);
  EXPECT_EQ(std::count(answers.begin(), answers.end(), true), 3000);
}

TEST(NetworkProbe, OwnAddressesHaveALengthAndNoLoopback) {
  for (const std::string& address : own_addresses()) {
    EXPECT_NE(address.find('/'), std::string::npos) << address;
    EXPECT_NE(address.substr(0, 4), "127.");
  }
}

/// Four hosts on two networks, and a bridge with the same address on each.
const std::vector<Addresses> cluster{{"10.0.0.1/24", "192.168.0.1/16", "172.17.0.1/16"},
                                     {"10.0.0.2/24", "192.168.0.2/16", "172.17.0.1/16"},
                                     {"10.0.0.3/24", "192.168.0.3/16", "172.17.0.1/16"},
                                     {"10.0.0.4/24", "192.168.0.4/16", "172.17.0.1/16"}};

/// Whom `mine` blames where exactly the addresses that `answers` takes answer.
std::vector<std::size_t> blamed(std::size_t mine, const std::function<bool(std::string)>& answers,
                                const std::vector<Addresses>& hosts = cluster) {
  return cut_off_hosts(hosts, mine, [&](const Addresses& asked) {
    std::vector<bool> result;
    for (const std::string& address : asked) {
      EXPECT_NE(address.substr(0, 7), "172.17.") << "this host itself would answer";
      result.push_back(answers(address));
    }
    return result;
  });
}

TEST(NetworkProbe, BlamesTheHostThatAloneDoesNotAnswer) {
  EXPECT_THAT(blamed(0, [](const std::string& a) { return !a.ends_with(".3"); }), ElementsAre(2));
  // On one of its networks alone.
  EXPECT_THAT(blamed(1, [](const std::string& a) { return a != "10.0.0.4"; }), ElementsAre(3));
}

TEST(NetworkProbe, BlamesThisHostWhereNoneAnswers) {
  EXPECT_THAT(blamed(2, [](const std::string&) { return false; }), ElementsAre(2));
}

TEST(NetworkProbe, BlamesNobodyWhereAllAnswerOrAFirewallIsInTheWay) {
  EXPECT_THAT(blamed(0, [](const std::string&) { return true; }), IsEmpty());
  EXPECT_THAT(blamed(0, [](const std::string& a) { return a.starts_with("10."); }), IsEmpty());
}

TEST(NetworkProbe, TwoHostsBlameEachOther) {
  const std::vector<Addresses> two{cluster[0], cluster[1]};
  EXPECT_THAT(blamed(
                  0, [](const std::string&) { return false; }, two),
              ElementsAre(1));
  EXPECT_THAT(blamed(
                  1, [](const std::string&) { return false; }, two),
              ElementsAre(0));
}

TEST(NetworkProbe, HostsWithoutACommonNetworkAreNotAsked) {
  const std::vector<Addresses> strangers{{"10.0.0.1/24"}, {"10.0.1.1/24"}, {}, {"nonsense"}};
  EXPECT_THAT(blamed(
                  0, [](const std::string&) { return false; }, strangers),
              IsEmpty());
}

}  // namespace
}  // namespace dovetail
