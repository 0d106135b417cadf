// Invented customers, places and goods. Domains are the reserved example ones; no number or address is real.
export const people = [
  ["Amélie Fournier", "12 rue des Tanneurs", "69001", "Lyon", "FR"],
  ["Jonas Lindqvist", "Storgatan 41", "411 38", "Göteborg", "SE"],
  ["Siobhán O’Connell", "7 Harbour Row", "P24 T2X9", "Cobh", "IE"],
  ["María José Núñez", "Calle del Olmo 19, 3º B", "28012", "Madrid", "ES"],
  ["Łukasz Wiśniewski", "ul. Długa 22/4", "31-147", "Kraków", "PL"],
  ["Björk Sigurðardóttir", "Laugavegur 88", "101", "Reykjavík", "IS"],
  ["Yuki Tanaka 田中由紀", "渋谷区神南 1-2-3", "150-0041", "東京", "JP"],
  ["Nikos Papadopoulos", "Οδός Ερμού 54", "105 63", "Αθήνα", "GR"],
  ["Fatima El Amrani", "شارع محمد الخامس 31", "20250", "Casablanca", "MA"],
  ["Greta Müller-Lüdenscheidt", "Große Elbstraße 146", "22767", "Hamburg", "DE"],
  ["Tom Hughes", "3 Chapel Lane", "YO1 7HH", "York", "GB"],
  ["Priya Raghunathan", "14/2 Lavelle Road", "560001", "Bengaluru", "IN"],
  ["Dmytro Kovalenko", "вул. Саксаганського 77", "01033", "Київ", "UA"],
  ["Ana Beatriz Carvalho", "Rua das Flores 210", "4050-265", "Porto", "PT"],
  ["Wolfeschlegelsteinhausenbergerdorff-Hohenlohe-Waldenburg, Maximilian Ferdinand Konstantin", "Schloßplatz 1", "74638", "Waldenburg", "DE"],
];

export const goods = [
  ["MUG-BLU-35", "Stoneware mug “Fjord”, 35 cl", 1490],
  ["LMP-OAK-02", "Desk lamp, oak & brass", 8900],
  ["TEE-ORG-L", "T-shirt organic cotton, L", 2400],
  ["CHR-FLD-GRN", "Folding chair, moss green", 6450],
  ["KNF-JP-180", "三徳 chef’s knife 180 mm", 12900],
  ["BLK-WOL-XL", "Wool blanket 150×200", 9900],
  ["COF-ETH-1K", "Coffee beans Yirgacheffe, 1 kg", 3250],
  ["BAG-CNV-NAT", "Canvas tote, natural 🌿", 1800],
  ["PLT-SET-06", "Plate set, 6 pcs", 5400],
  ["SPK-BT-MINI", "Bluetooth speaker mini", 4999],
  ["VAS-CLR-30", "Glass vase, clear, 30 cm", 3600],
  ["BKE-LGT-RR", "Bicycle rear light, USB-C", 2190],
];
