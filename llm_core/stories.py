"""A seed -> stories, what each cost in bits, and its facts; and back from any text.

One grammar, written out below, and one function that reads it, `tell`. It knows nothing
of tokens, models or files.
"""

import random
import re
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from itertools import accumulate
from math import log2
from typing import Any, NamedTuple

# How to read the grammar. A rule is a name and its alternatives, one to a line or
# divided by bars; deeper lines continue the line above. The earlier an alternative
# stands, the likelier it is. Inside a line:
#     <junk>    an alternative of the rule `junk`; of a rule marked "no repeats", never
#               the same twice in one story
#     {thing}   a fact: drawn when it is first spoken, and the same ever after
#     [a|b]     one of these, here and now
#     /         a new line
# <Try> and {Thing} begin with a capital letter.
GRAMMAR = """
story:
    <opening> <loss> <lament>/<plot>//

opening:
    {name} was a {trait} {job} [who <habit>|from <town>].
    Once upon a time [there lived|there was|people knew] a {trait} {job} called {name}, who
        <habit>.
    A {trait} {job} [called|named] {name} <habit>.
    In <town> lived a {trait} {job} [called|named|by the name of] {name}.
    [This is|Here is|Now comes] the story of {name}, a {trait} {job} who <habit>.
    Do you know {name}, the {trait} {job} [who <habit>|from <town>]?
    Far away, in <town>, a {trait} {job} called {name} <habit>.
    When {name} was born, <omen>. Later {name} was a {trait} {job}.
    Before you were born, a {trait} {job} [moved|came] to <town>. It was {name}.

habit:
    <loved> <hamsters> <often>
    <loved> <soggy> <hamsters>
    <whistled> <often>
    could [wiggle both ears|not tell left from right|sleep standing up|hear grass grow]
    never wore matching [shoes|gloves|eyebrows|trousers]

loved:
    talked to | counted | sang to | collected | believed in | was afraid of | painted
    dreamed of | laughed at | wrote letters to | argued with | whispered to | drew
    lived with | worried about | wrote poems about

whistled:
    whistled | danced | hummed | snored | drank tea from a vase | wore three coats
    walked on tiptoe | ate pudding first | told jokes | stood on one leg | wept | juggled
    bathed in milk

often:
    all day long | at breakfast | in secret | when it rained | after midnight | in the bath
    for a living | as a hobby | every winter | on holidays | very loudly | in June
    twice a week | for no reason | at weddings | under water

omen:
    it snowed <soggy> <hamsters> | <the_dogs> <came_running> | the moon ate <junk>

town:
    <village> <by_the_sea>

village:
    a village | a town | a valley | a harbour | a city | a tower | a hut | a castle | a farm
    a kingdom | a lighthouse | a crooked street | a noisy little port | a palace | a swamp
    a tent | a desert

by_the_sea:
    by the sea | without maps | full of fog | of crooked roofs | with round windows
    behind the hills | that smelled of tar | where it always rained | of long winters
    made of wood | where nobody slept | near the border | with no clocks | called Muddle
    famous for its <hamsters> | full of <hamsters>

loss:
    One <weather> <time> {he} [noticed|saw|discovered] that {his} {colour} {thing} was
        <gone>.
    On a <weather> <day> {he} lost {his} {colour} {thing} [to|because of|while chasing] <junk>.
    But one <weather> <time> {he} could not find {his} {colour} {thing}.
    Above all {he} loved {his} {colour} {thing}, and on a <weather> <day> it was <gone>.
    {He} <carefully> carried {his} {colour} {thing} everywhere, until on a <weather>
        <day> it was <gone>.
    What {he} loved best was {his} {colour} {thing}. One <weather> <time> it was <gone>.
    Then came a <weather> <day>, and {he} <cried> that {his} {colour} {thing} was <gone>.
    During a <weather> <time> {he} lost {his} {colour} {thing}.

weather:
    windy | rainy | frosty | foggy | sunny | stormy | bright | snowy | drizzly | warm
    chilly | strange | peaceful | boring | thundery | misty

time:
    morning | evening | afternoon | night | day | dawn | winter

day:
    Monday | Tuesday | Friday | Sunday | Wednesday | market day | washing day | Thursday
    Saturday | Halloween | New Year's Day | Christmas Eve | birthday

gone:
    gone | missing | replaced by <junk> | lost | stolen by <junk> | nowhere to be found
    not there | full of <hamsters>

lament:
    "<Onions> and <thunder>!" <cried> {name}.
    {name} <wept> like a <soggy> <hamster>.
    {He} <wept> until <the_dogs> <came_running>.
    "<Onions>!" <cried> the {job}. "[Where is|Who stole] my {thing}?"
    No <soggy> <hamster> could cheer {him} up.
    "What is a {job} without a <good> {thing}?" {he} <cried>.

good:
    good | proper | decent | real | little | reliable
onions:
    onions | fish | rats | goodness | radishes | socks | turnips | dust | custard | crumbs
    gravy | trousers | beans | teeth | butter | gooseberries | mushrooms | soup
thunder:
    thunder | fiddlesticks | feathers | vinegar | lightning | mustard | rain | sawdust
    tears | toenails | treacle | fog | string | gravel | elbows | pepper
cried:
    cried | shouted | wailed | groaned | said | yelled | gasped | sighed | roared | howled
    grumbled | whimpered | called | sobbed | announced | declared | thundered | squealed
    exclaimed | moaned | screeched
wept:
    wept | howled | sobbed | sniffed | shouted | screamed | whimpered | wailed
the_dogs:
    the dogs | the neighbours | the whole street | nine babies | the postman | the mayor
    the fire brigade | two old ladies | the police | everybody | six <soggy> <hamsters>
came_running:
    joined in | complained | came running | fell asleep | sang along | moved away | applauded

plot:
    <bargain> | <oath> | <clue> | <glasses> | <accusation> | <repair>

bargain:
    <try> <meet> <offer> <pay> <reveal> <find> <feast>
    <meet> <offer> <pay> <reveal> <find> <feast>

oath:
    <vow> <try> <meet> <hint> <find> <kept>
    <try> <vow> <meet> <hint> <find> <kept>

clue:
    <riddle> <ignored> <try> <try> <remember> <find> <after>
    <riddle> <ignored> <try> <remember> <find> <after>

accusation:
    <suspect> <deny> <disbelieve> <try> <find> <sorry>

glasses:
    <begin> <try> <try> <meet> <again> <find> <after>
    <begin> <try> <meet> <again> <find> <after>

repair:
    <try> <try> <noise> <mender> <explain> <gift> <after>
    <try> <noise> <mender> <explain> <gift> <after>

try (no repeats):
    {He} <carefully> looked <place>, but [found|met|saw] only <junk>.
    [Then|After that|Soon] {he} searched <place>, and <found> <junk>.
    <Place> there was only <junk>.
    Was it <place>? No, that was <junk>.
    {name} <carefully> <crawled> about <place> and <found> <junk>.
    "It must be <place>," <cried> {name}. It was only <junk>.
    "Perhaps <place>?" {he} <cried>. [But no|No luck|Wrong]: <junk>.
    {He} spent <an_hour> <place> with <junk>.
    <The_dogs> had seen it <place>, but that was <junk>.
    <Junk> <lay> <place>, but <winked>.

carefully:
    carefully | bravely | secretly | eagerly | sadly | noisily | slowly | politely
    nervously | hopefully | angrily | boldly | quickly | dreamily | grandly | clumsily
    cheerfully | wildly | quietly | solemnly | proudly | crossly | shyly | madly | briskly
    gently
crawled:
    crawled | poked | hunted | crept | danced | rolled | hopped | stamped
found:
    found | woke | frightened | met | stepped on | sat on | came back with | tripped over
an_hour:
    an hour | half the night | a whole day | the weekend | two minutes | lunchtime

junk:
    a <soggy> <hamster> | two <soggy> <hamsters> | the mayor's <soggy> <hamster>
    somebody's <soggy> <hamster> | a family of <hamsters> | three <soggy> <hamsters>
    nine <hamsters> and one <hamster>

soggy:
    soggy | sad | surprised | snoring | rude | retired | left-handed | runaway | bewildered
    famous | musical | royal | sulky | dancing | forgotten | homemade | feverish | pale
    secret | talking | frozen | stolen | very old | half-eaten | hopeful | melting | plump
    dusty | flying | jealous | married | whistling | rubber | haunted | wooden | bald
    suspicious | hairy | Scottish | floating

hamster:
    hamster | potato | sandwich | shoe | duck | wig | parrot | policeman | clown | carrot
    lobster | mattress | glove | letter | swan | cheese | ghost | frog | plumber | sausage
    moth | camel | uncle | trombone | tuba | poet | radio | pudding | pancake | dragon
    goblin | teaspoon | sheep | turnip | cow | llama | snowman | aunt | penguin | cucumber
    walrus | meatball

hamsters:
    hamsters | potatoes | ducks | shoes | wigs | parrots | clowns | carrots | lobsters
    gloves | swans | ghosts | frogs | plumbers | moths | camels | uncles | poets | puddings
    clouds | dragons | goblins | teaspoons | turnips | cows | llamas | snowflakes | aunts
    penguins | sausages | walruses | meatballs | snowmen | tubas | pancakes

meet:
    On <perch> sat <an_old> {helper}.
    Along came <an_old> {helper}, <humming>.
    Just then <an_old> {helper} came by, <humming>.
    There was nobody about but <an_old> {helper}, <humming> on <perch>.
    <An_old> {helper} watched from <perch>, <humming>.
    Who should be <humming> on <perch> but <an_old> {helper}!

humming:
    humming | dancing | knitting | reading | having tea | eating a leaf | yawning | chewing
    counting its toes | playing cards | writing a letter | combing its hair | juggling
    sunbathing | doing handstands | peeling an onion | smiling | blowing bubbles | weeping
    polishing a coin | fishing | waving | blinking | folding paper boats

an_old:
    an old | a fat | a young | a muddy | a thin | a wise | a very small | a one-eyed
    a rather damp | a smug | a yawning | a well-dressed | a friendly | a toothless | a round
    an elegant | a bony | a blushing | a limping | a travelling | a barefoot

perch:
    <a_mossy> <stone>

a_mossy:
    a mossy | the mayor's | a broken | a wobbling | an empty | somebody's | a painted
    the nearest | a cold | an iron | a sunny | a crooked | grandmother's | a very tall
    an upturned | the only

stone:
    stone | gate | fence | wall | doorstep | tree stump | milk can | signpost | cart
    statue | plough | bench | barrel | stool | cabbage | rocking chair | hammock | balcony
    tractor | bathtub

offer:
    "Your {thing}?" it <said> in a {voice} voice, <humming>. "It will cost you {price}."
    It <winked>. "[Bring|Fetch|Get] me {price}," it <said> in a {voice} voice.
    "I want no <soggy> <hamsters>," it <said> in a {voice} voice. "I want {price}."
    "For {price}," it <said> in a {voice} voice, <humming>, "I could find [it|that {thing}|your
        {thing}]."
    "I saw <junk> take it," it <said> in a {voice} voice. "For {price} I will say more."
    In a {voice} voice it named its price: {price}, [no more|paid at once|and a <soggy>
        <hamster>].

said:
    said | whispered | replied | murmured | answered | remarked | sang | explained | began
    muttered | hissed | confessed | continued | stammered | mumbled | croaked | purred
    insisted | giggled | added

winked:
    winked | coughed | yawned | scratched its ear | stretched | laughed | burped | blinked
    put down its tea | looked around | licked its lips | nodded | frowned | bowed | hiccuped
    shrugged | giggled | sneezed | said nothing | thought hard | stood up | cleared its throat
    grinned | lay down

pay:
    "{Price}!" <cried> {name}. {He} <carefully> <fetched> {price}.
    {name} <winced> and <fetched> {price}, thanks to <the_dogs>.
    {name} <carefully> <fetched> {price} near <junk>.
    <By_noon> {he} <fetched> {price} behind <the_dogs>.
    So {he} <wept> until <the_dogs> gave {him} {price}.

winced:
    winced | sighed | groaned | made a face | went home | counted to ten | blushed | laughed
fetched:
    borrowed | bought | stole | fetched | got | won | took | found
gave:
    gave | handed | offered | brought | threw | served | fed | sent

by_noon:
    by noon | an hour later | after some trouble | at sunset | the next morning | much later
    after a nap | over tea | at midnight | in a dream | before bedtime | in the end

reveal:
    "Look {place}," <said> the {helper} in its {voice} voice, <humming>.
    The {helper} <winked>. "It is {place}," it <said>, <humming>.
    "[Try|Search] {place}," <said> the {voice} voice, and <winked>.
    The {helper} <winked> and <winked>. "{Place}," it <said>.

find:
    And there, {place}, <lay> the {colour} {thing}, <state>.
    {He} <carefully> looked {place}, and there it <lay>, <state>.
    "My {thing}!" <cried> {name}, for there it <lay>, {place}, <state>.
    {Place} <lay> the {colour} {thing}, <state>.
    <By_noon> {he} found {his} {colour} {thing}. It <lay> {place}, <state>.
    {name} <ran> off and found the {colour} {thing} {place}, <state>.

ran:
    ran | hurried | flew | tiptoed | marched | raced | strolled | skipped | galloped
lay:
    lay | was | waited | slept | sat | stood | rested | shone

state:
    <covered> <fresh> <mud> | <covered> <mud> and <mud> | next to <junk> | guarded by <junk>
    safe among <soggy> <hamsters> | dreaming of <soggy> <hamsters> | under <junk>

covered:
    covered in | full of | smelling of | sticky with | dripping with | buried in
    stuffed with | wrapped in

fresh:
    fresh | old | sweet | wet | cold | salty | melted | invisible | toasted | soft
    sticky | warm | cheap | expensive | magic | plain

mud:
    mud | feathers | acorns | fish | cobwebs | soap | moss | flour | ink | sand | glue
    leaves | onions | seaweed | pepper | confetti | crumbs | sawdust | fur | jelly | paint
    bubbles | straw | porridge | garlic | rain

feast:
    The {helper} <carefully> ate {price}, <humming> on <perch>.
    The {helper} gave {price} to <junk>, and <winked>.
    Then {name} and the {helper} shared {price} with <junk> on <perch>.
    Later <junk> told {him} who had hidden it: the {helper}, who <loved> {price}.
    "I hid it myself," <said> the {helper}, its mouth full of {price} and <fresh> <mud>.
    "Keep {price}," <said> the {voice} voice. "I would rather have <junk>."

was_gone:
    was gone | vanished | fell down | went with it

vow:
    "If I [ever find|find|get back] my {thing}," <cried> {name}, "I will {promise}."
    "Find it," {name} told <junk>, "and I will {promise}!"
    {He} <carefully> promised <the_dogs> to {promise} if it came back.
    "I will {promise}," {name} told <the_dogs>, "if I get my {colour} {thing} back."
    For that {thing}, {he} told <junk>, {he} would {promise}.

hint:
    "Have you looked {place}?" it <said> in a {voice} voice, <humming>.
    "I saw <junk> with your {thing} {place}," it <said> in a {voice} voice.
    "{Place}," it <said> in a {voice} voice, <humming>.
    It <winked>. "What is {colour} and lies {place}?" it <said> in a {voice} voice.
    It <winked>. "Your {thing} is {place}," it <said> in a {voice} voice.

kept:
    That <weather> <time> <the_dogs> came to watch {name} {promise}.
    A promise is a promise: <by_noon> {name} began to {promise}, watched by <junk>.
    "And now?" <said> the {helper}. So the {trait} {job} had to {promise} with <junk>.
    {name} <winced>. "You said you would {promise}," <said> the {voice} voice. <Junk>
        <came_running>.
    Every <weather> <day> <the_dogs> can see {name} {promise} with a <soggy> <hamster>.
    The {helper} brought <junk> to watch {him} {promise}, and <winked>.

riddle:
    Long ago <an_old> {helper} <said> in a {voice} voice: "<Hamsters> get lost {place}."
    On <perch> sat <an_old> {helper}. "Lost <hamsters> [go|hide] {place}," it <said>
        in a {voice} voice.
    "Lost things [sleep|wait|meet] {place}," <an_old> {helper} once said in a {voice} voice.
    <An_old> {helper} <winked>. "Always look {place}," it <said> in a {voice} voice.

ignored:
    But {name} was <carefully> <humming>.
    "<Onions> and <thunder>," <cried> {name}.
    {He} forgot it at once, because of <junk>.
    {name} <winced> and listened to <junk>.

remember:
    Suddenly <junk> made {him} remember the {helper} and its {voice} voice.
    {name} sat down on <perch>. What was it that the {helper} <said>?
    Inside {his} head a {voice} voice <winked>. <Onions>! The {helper}!
    "<Onions>! The {helper}!" <cried> {name}.
    <Junk> spoke in a {voice} voice, just like the {helper}.
    A <soggy> <hamster> made {him} think of the {helper}.

suspect:
    "It was the {helper}," <cried> {name}, and <ran> to its door.
    {name} had seen <an_old> {helper} near <perch>. "Thief!" {he} <cried>.
    It had to be the {helper}, <cried> {name}, and <carefully> <ran> to its door.
    <The_dogs> blamed <an_old> {helper}, <humming> on <perch>.

deny:
    "Me?" it <said> in a {voice} voice. "I never <loved> your {colour} {thing}."
    "I only steal <soggy> <hamsters>," it <said> in a {voice} voice.
    The {helper} <winked>. "Ask <the_dogs>," it <said> in a {voice} voice, <humming>.
    "Ask <junk>," it <said> in a {voice} voice, <humming>.

disbelieve:
    "Have you looked {place}?" But {name} only listened to <junk>.
    "Look {place}," it added. {name} <winced> and <ran> off.
    "It is {place}," it added. "<Onions> and <thunder>," <cried> {name}.

sorry:
    "I was wrong," <cried> {name}, and <gave> the {helper} {price} and a <soggy> <hamster>.
    The {trait} {job} <winced> and took {price} to the {helper}, which was <humming>.
    "Sorry," <cried> {name}. "Bring me {price}," <said> the {voice} voice, "and a <soggy>
        <hamster>."
    At last the {helper} got {price} and <junk>, and <winked>.

were_happy:
    made friends | danced until <day> | ate together | played cards | talked until <day>

begin:
    First {he} looked {place}, but without {his} glasses {he} <found> <junk>.
    {name} <carefully> began {place}, half asleep, and <found> <junk>.
    "It is not {place}," <cried> {name}, who had only looked at <junk>.
    It was so dark {place} that {he} <winced> and <ran> off.

again:
    "Look where you began," it <said> in a {voice} voice, <humming>.
    It <winked>. "Start again," it <said> in a {voice} voice, <humming>.
    "Put on your glasses," it <said> in a {voice} voice, <humming>.
    "<Hamsters> are always in the first place," it <said> in a {voice} voice.
    "<Onions> and <thunder>, look again," it <said> in a {voice} voice.

noise:
    Then {he} heard something <humming> {place}.
    {He} <carefully> followed the smell of <fresh> <mud>. Was something <humming> {place}?
    A <soggy> noise came from {place}.

mender:
    There, {place}, <an_old> {helper} was <humming> with the {colour} {thing}.
    {Place} {he} found <an_old> {helper}, <humming> beside the {colour} {thing}.
    <An_old> {helper} had the {colour} {thing}, and was <humming> {place}.

explain:
    "Thief!" <cried> {name}. "No," it <said> in a {voice} voice, "I mended it with <mud>."
    "It was full of <fresh> <mud>," it <said> in a {voice} voice.
    "I needed it for <soggy> <hamsters>," it <said> in a {voice} voice.
    It <winked>. "I have washed off the <fresh> <mud>," it <said> in a {voice} voice.

gift:
    {name} <winced> and <gave> the {helper} {price} and a <soggy> <hamster>.
    "How wrong I was," <cried> {name}, and <carefully> <gave> it {price}.
    "What do I owe you?" <cried> {name}. "Only {price} and a <soggy> <hamster>."
    They shared {price} with <junk>.

after:
    Ever since that <time>, {name} and <junk> always look {place} first.
    The {colour} {thing}? It lives with {name} and <junk>.
    Ever after, the {trait} {job} <loved> <soggy> <hamsters> in a {voice} voice.
    That <weather> <time> {name} <loved> the {colour} {thing}.
    Only <the_dogs> and <junk> knew what had happened {place}.
    If you hear a {voice} voice <often>, it is the {helper}, <humming>.
    And the {helper}? It <loved> <soggy> <hamsters> <often>.

name:
    Pip | Wren | Kit | Robin | Mika | Sasha | Billie | Noor | Rowan | Frankie | Remy | Tovi
    Lou | Yuki | Ziggy | Marlow | Dara | Ollie | Quill | Juniper | Fenn | Jules | Teddy | Bo

he:
    she | he
him:
    her | him
his:
    her | his

trait:
    sleepy | forgetful | cheerful | nervous | proud | lazy | curious | clumsy | dreamy
    stubborn | patient | gloomy | chatty | shy | brave | tidy | hungry | merry | polite

job:
    tailor | baker | gardener | sailor | painter | cook | shepherd | clockmaker | teacher
    piper | beekeeper | carpenter | juggler | pirate | librarian | potter | fiddler | doctor
    wizard | locksmith | barber | dentist | postmaster

thing:
    kite | drum | hat | teapot | umbrella | scarf | lantern | whistle | spoon | violin
    ladder | blanket | boot | bell | notebook | bicycle | key | purse | trumpet | basket
    compass | kettle | wheelbarrow | pillow | mitten | telescope | button | flag | bucket

colour:
    red | blue | green | yellow | white | purple | silver | golden | black | pink | brown
    orange | grey | turquoise

place (no repeats):
    under the bridge | behind the mill | in the old oak | on the roof | beside the pond
    in the barn | under the stairs | behind the bakery | in the cellar | on the haystack
    under the bed | in the tall grass | in the attic | in the piano | beside the railway
    in the chimney | among the pumpkins | in the canoe | behind the stove | in the post box
    down the well | on the windowsill | near the beehives | in the wardrobe | in the stable
    up the mountain

helper:
    owl | toad | goose | snail | crow | badger | goat | hedgehog | cat | mole | donkey
    heron | beetle | magpie | otter | bat | tortoise | squirrel | spider | fox

voice:
    squeaky | creaky | rumbling | silky | wobbly | rusty | hoarse | booming | tiny | husky
    trembling | buttery | nasal | gravelly | velvet | crackly

price:
    three plums | a cheese pie | a jar of honey | seven cherries | a bowl of soup
    two waffles | a ginger cake | a bag of nuts | a boiled egg | a pot of jam
    nine radishes | a loaf of rye | a slice of melon | a raisin bun

promise:
    sing to the fishes | dance on the table | hop home | bake a pretzel | sweep the street
    wash the mayor | kiss a frog | learn to yodel | plant a thousand trees | write a poem
    paint the gate | wear a daisy crown | ride a pig | jump in the fountain
    climb the steeple | sleep on a cactus | tickle a bear | marry a cloud
"""

Pieces = tuple[Any, ...]  # of str, Choice and Slot, in the order they are spoken


class Choice:
    """A weighted set of alternatives; number k, from 0, weighs 1000 // (k + 8)."""

    def __init__(self, name: str, items: list[Any], numbers: list[int]) -> None:
        self.name = name  # of its rule; "" for a choice written in brackets
        self.items = items  # all alternatives of the rule: str or Pieces
        self.numbers = numbers  # of those that are left to choose from
        weights = [1000 // (number + 8) for number in numbers]
        self.cumulative = list(accumulate(weights))
        self.total = self.cumulative[-1]
        self.bits = [log2(self.total / weight) for weight in weights]
        self._without: dict[int, Choice] = {}

    @cached_property
    def heads(self) -> list[tuple[str, ...]]:
        """What each item can begin with."""
        return [_heads(self.items[number]) for number in self.numbers]

    def without(self, spoken: int) -> "Choice":
        """Take away the alternatives whose bits are set in `spoken`."""
        if spoken not in self._without:
            left = [number for number in self.numbers if not spoken >> number & 1]
            self._without[spoken] = Choice(self.name, self.items, left)
        return self._without[spoken]


def _heads(item: Any) -> tuple[str, ...]:
    if isinstance(item, str):
        return (item,)
    if isinstance(item, Slot):
        return tuple(item.surfaces.items)
    if isinstance(item, Choice):
        return tuple(head for heads in item.heads for head in heads)
    return _heads(item[0])


class Slot:
    """A place in a sentence where a fact is spoken."""

    def __init__(self, fact: str, surfaces: Choice, forced: bool) -> None:
        self.fact = fact
        self.surfaces = surfaces  # how each value of the fact is written here
        self.forced = forced  # whether a known fact leaves no other way to go on here


def read_grammar(grammar: str) -> dict[str, Choice]:
    """Return the rules of a grammar by name, ready for `tell`."""
    lines: dict[str, list[str]] = {}
    unrepeated = set()
    for line in grammar.replace("\n        ", " ").splitlines():
        if line.endswith(":"):
            name, _, mark = line[:-1].partition(" ")
            alternatives = lines[name] = []
            if mark:
                unrepeated.add(name)
        elif line:
            alternatives += re.split(r" *\| *(?![^\[]*\])", line.strip())
    rules: dict[str, Choice] = {}

    def rule(name: str) -> Choice:
        if name not in rules:
            low = name[0].lower() + name[1:]
            written = lines[low]
            if name != low:
                written = [re.sub("[a-z]", _upper, line, count=1) for line in written]
            rules[name] = choice(low if low in unrepeated else "", written)
        return rules[name]

    def choice(name: str, written: list[str]) -> Choice:
        return Choice(name, [pieces(line) for line in written], [*range(len(written))])

    def pieces(line: str) -> Any:
        found: list[Any] = []
        for part in re.findall(r"<\w+>|\{\w+\}|\[[^]]*\]|[^<{[]+", line):
            name = part[1:-1]
            if part[0] == "<":
                found += (
                    rule(name).items[0]
                    if len(lines[name.lower()]) == 1
                    else [rule(name)]
                )
            elif part[0] == "{":
                fact = name.lower()
                found.append(Slot(PRONOUNS.get(fact, fact), rule(name), bool(found)))
            elif part[0] == "[":
                found.append(choice("", name.split("|")))
            else:
                found.append(part.replace("/", "\n"))
        return found[0] if len(found) == 1 and isinstance(found[0], str) else (*found,)

    for name in lines:
        rule(name)
    return rules


def _upper(letter: re.Match[str]) -> str:
    return letter[0].upper()


# Three ways to write one fact; the first gives it its name in a wish.
PRONOUNS = {"he": "pronoun", "him": "pronoun", "his": "pronoun"}
RULES = read_grammar(GRAMMAR)


def tell(
    choose: Callable[[Choice], int],
    emit: Callable[[str], object],
    mention: Callable[[Slot, int], object],
) -> None:
    """Tell one story: the only function that reads the grammar."""
    known: dict[str, int] = {}  # fact -> the number of its value
    spoken: dict[str, int] = {}  # rule -> its alternatives used so far, a bit mask

    def draw(choice: Choice) -> int:
        name = choice.name
        if name not in spoken:
            number = choose(choice)
            spoken[name] = 1 << number
        else:
            left = choice.without(spoken[name])
            number = left.numbers[choose(left)]
            spoken[name] |= 1 << number
        return number

    def speak(pieces: Pieces) -> None:
        for piece in pieces:
            kind = type(piece)
            if kind is str:
                emit(piece)
            elif kind is Slot:
                fact = piece.fact
                if fact not in known:
                    choice = piece.surfaces
                    known[fact] = draw(choice) if choice.name else choose(choice)
                mention(piece, known[fact])
            else:
                item = piece.items[draw(piece) if piece.name else choose(piece)]
                if type(item) is str:
                    emit(item)
                else:
                    speak(item)

    speak(RULES["story"].items[0])


class Need(NamedTuple):
    """A position in a story where only the value of a fact can stand."""

    position: int
    value: str  # as it is written there: "her" where the pronoun is "she"
    alternatives: tuple[str, ...]  # what the other values would look like there


class Fact(NamedTuple):
    """Something a story says once and must remember."""

    name: str
    value: str
    set_at: int
    needs: tuple[Need, ...]

    @property
    def needed_at(self) -> tuple[int, ...]:
        """The positions of the needs."""
        return tuple(need.position for need in self.needs)

    @property
    def alternatives(self) -> tuple[str, ...]:
        """The other values the fact could have had."""
        return tuple(value for value in VALUES[self.name] if value != self.value)


class Story(NamedTuple):
    """A story, what it cost in bits, and its facts in the order of their setting."""

    text: str
    bits: float
    facts: tuple[Fact, ...]


FACTS = (
    "name",
    "pronoun",
    "trait",
    "job",
    "colour",
    "thing",
    "place",
    "helper",
    "voice",
    "price",
    "promise",
)
VALUES: dict[str, tuple[str, ...]] = {
    fact: tuple(RULES["he" if fact == "pronoun" else fact].items) for fact in FACTS
}


def sample_stories(count: int, seed: int = 0, start: int = 0) -> Iterator[Story]:
    """Yield stories `start` to `start + count - 1` of a seed."""
    sample = _sampler(seed)
    for index in range(start, start + count):
        parts, bits, mentions = sample(index)
        starts = [0, *accumulate(map(len, parts))]
        facts = _facts([(starts[part], *rest) for part, *rest in mentions])
        yield Story("".join(parts), bits, facts)


def sample_texts(
    count: int, seed: int = 0, start: int = 0
) -> Iterator[tuple[str, float]]:
    """Yield the text and the bits of the same stories, faster."""
    sample = _sampler(seed)
    for index in range(start, start + count):
        parts, bits, _ = sample(index)
        yield "".join(parts), bits


def sample_story(index: int, seed: int = 0) -> Story:
    """Return story number `index` of a seed; it depends on nothing else."""
    return next(sample_stories(1, seed, index))


def _sampler(seed: int) -> Callable[[int], tuple[list[str], float, list[Any]]]:
    source = random.Random()
    uniform = source.random
    parts: list[str] = []
    costs: list[float] = []
    mentions: list[Any] = []
    emit = parts.append
    cost = costs.append

    def choose(choice: Choice) -> int:
        k = bisect(choice.cumulative, uniform() * choice.total)
        cost(choice.bits[k])
        return k

    def mention(slot: Slot, number: int) -> None:
        mentions.append((len(parts), slot, number))
        emit(slot.surfaces.items[number])

    def sample(index: int) -> tuple[list[str], float, list[Any]]:
        source.seed(seed << 64 | index)
        parts.clear()
        costs.clear()
        mentions.clear()
        tell(choose, emit, mention)
        return parts, sum(costs), mentions

    return sample


def _facts(mentions: list[Any]) -> tuple[Fact, ...]:
    first: dict[str, tuple[int, int]] = {}
    needs: dict[str, list[Need]] = {}
    for position, slot, number in mentions:
        if slot.fact not in first:
            first[slot.fact] = position, number
            needs[slot.fact] = []
        elif slot.forced:
            items = slot.surfaces.items
            others = (*items[:number], *items[number + 1 :])
            needs[slot.fact].append(Need(position, items[number], others))
    return tuple(
        Fact(fact, VALUES[fact][number], position, tuple(needs[fact]))
        for fact, (position, number) in first.items()
    )


class _Disagreement(Exception):
    """The story being told is not the text being read."""


class _Replay:
    """Tells every story that agrees with a text as far as the text goes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.agenda: list[tuple[int, ...]] = [()]  # openings of derivations, as picks
        self.replays = 0

    def __iter__(self) -> "Iterator[_Replay]":
        """Stop where a story ends, or where the text does."""
        while self.agenda:
            self.script = self.agenda.pop()
            self.picks: list[int] = []
            self.mentions: list[tuple[int, Slot, int]] = []
            self.position = 0
            self.bits = 0.0
            self.beyond = ""  # what the story says after the text
            self.replays += 1
            with suppress(_Disagreement):
                try:
                    tell(self.choose, self.emit, self.mention)
                except _Beyond:
                    pass
                yield self

    def agrees(self, said: str) -> bool:
        return self.text.startswith(said, self.position) or said.startswith(
            self.text[self.position :]
        )

    def choose(self, choice: Choice) -> int:
        if len(self.picks) < len(self.script):
            k = self.script[len(self.picks)]
        else:
            fits = [
                k for k, head in enumerate(choice.heads) if any(map(self.agrees, head))
            ]
            if not fits:
                raise _Disagreement
            for k in fits[1:]:
                self.agenda.append((*self.picks, k))
            k = fits[0]
        self.picks.append(k)
        self.bits += choice.bits[k]
        return k

    def emit(self, said: str) -> None:
        if self.text.startswith(said, self.position):
            self.position += len(said)
        elif said.startswith(rest := self.text[self.position :]):
            self.position += len(rest)
            self.beyond = said[len(rest) :]
            raise _Beyond
        else:
            raise _Disagreement

    def mention(self, slot: Slot, number: int) -> None:
        self.mentions.append((self.position, slot, number))
        self.emit(slot.surfaces.items[number])


class _Beyond(Exception):
    pass


def parse_story(text: str) -> list[Story]:
    """Return every way to tell exactly this text; the grammar leaves one at most."""
    return [
        Story(text, replay.bits, _facts(replay.mentions))
        for replay in _Replay(text)
        if not replay.beyond and replay.position == len(text)
    ]


def next_characters(prefix: str) -> dict[str, float]:
    chances: dict[str, float] = {}
    for replay in _Replay(prefix):
        if replay.beyond:
            c = replay.beyond[0]
            chances[c] = chances.get(c, 0.0) + 2.0**-replay.bits
    total = sum(chances.values())
    return {c: x / total for c, x in sorted(chances.items())}
