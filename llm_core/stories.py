"""A seed -> stories, what each cost in bits, and its facts; and back from any text.

One grammar, written out below, and one function that follows it, `tell`, which is read
in three ways: to sample a story, to score it, and to parse it. Knows nothing of tokens,
models or files.
"""

import random
import re
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate
from math import fsum, inf, log2
from typing import Any, NamedTuple, Self

# How to read the grammar. A rule is a name and its alternatives, one to a line or
# divided by bars; deeper lines continue the line above. The earlier an alternative
# stands, the likelier it is. Inside a line:
#     <junk>    an alternative of the rule `junk`; of a rule marked "no repeats", never
#               the same twice in one story
#     {thing}   a fact: drawn when it is first spoken, and the same ever after
#     [a|b]     one of these, here and now
#     /         a new line
# <Try> and {Thing} begin with a capital letter. The words of a fact stand nowhere else,
# and a choice stands where its text begins to differ, never earlier: so a story can be
# read back, and the chance of its next character be known.
GRAMMAR = """
story:
    <opening> <loss> <lament>/<plot>//

opening:
    {name} was a {trait} {job} [who <habit>|from <town>].
    Once upon a time [there lived|there was|people knew] a {trait} {job} called {name},
        who <habit>.
    A {trait} {job} [called|named] {name} <habit>.
    In <town> lived a {trait} {job} [called|named|by the name of] {name}.
    [This is|Here is|Now comes] the story of {name}, a {trait} {job} who <habit>.
    Do you know {name}, the {trait} {job} [who <habit>|from <town>]?
    Far away, in <town>, a {trait} {job} called {name} <habit>.
    When {name} was born, <omen>. Later {name} was a {trait} {job}.
    Before you were born, a {trait} {job} called {name} [moved|came] to <town>.

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
    walked on tiptoe | ate pudding first | told jokes | stood on one leg | wept
    juggled | bathed in milk

often:
    all day long | at breakfast | in secret | when it rained | after midnight
    in the bath | for a living | as a hobby | every winter | on holidays | very loudly
    in June | twice a week | for no reason | at weddings | under water

omen:
    it snowed <soggy> <hamsters> | <the_dogs> <came_running> | the moon ate <junk>

town:
    a <village> <by_the_sea>

village:
    village | town | valley | harbour | city | tower | hut | castle | farm | kingdom
    lighthouse | crooked street | noisy little port | palace | swamp | tent | desert

by_the_sea:
    by the sea | without maps | full of fog | of crooked roofs | with round windows
    behind the hills | that smelled of tar | where it always rained | of long winters
    made of wood | where nobody slept | near the border | with no clocks | called Muddle
    famous for its <hamsters> | full of <hamsters>

loss:
    One <weather> <time> {he} [noticed|saw|discovered] that {his} {colour} {thing} was
        <gone>.
    On a <weather> <day> {he} lost {his} {colour} {thing} [to|because of|while chasing]
        <junk>.
    But one <weather> <time> {he} could not find {his} {colour} {thing}.
    Above all {he} loved {his} {colour} {thing}, and on a <weather> <day> it was <gone>.
    {He} <carefully> carried {his} {colour} {thing} everywhere, until on a <weather>
        <day> it was <gone>.
    What {he} loved best was {his} {colour} {thing}. One <weather> <time> it was <gone>.
    Then came a <weather> <day>, and {he} <cried> that {his} {colour} {thing} was
        <gone>.
    During a <weather> <time> {he} lost {his} {colour} {thing}.

weather:
    windy | rainy | frosty | foggy | sunny | stormy | bright | snowy | drizzly | warm
    chilly | strange | peaceful | boring | thundery | misty

time:
    morning | evening | afternoon | night | day | dawn | winter | spring

day:
    Monday | Tuesday | Friday | Sunday | Wednesday | market day | washing day | Thursday
    Saturday | Halloween | New Year's Day | Christmas Eve | birthday

gone:
    gone | missing | replaced by <junk> | lost | stolen by <junk> | nowhere to be found
    not there | full of <hamsters>

lament:
    "<Onions> and <thunder>!" <cried> the {job}.
    The {job} <wept> like a <soggy> <hamster>.
    The {job} <wept> until <the_dogs> <came_running>.
    "<Onions>!" <cried> the {trait} {job}. "[Where is|Has anyone seen] my {thing}?"
    No <soggy> <hamster> could cheer the {job} up.
    "What is a {job} without a <good> {thing}?" {he} <carefully> <cried>.

good:
    good | proper | decent | real | little | reliable | second | clean | magic | nice
    spare | matching

onions:
    onions | fish | rats | goodness | radishes | socks | turnips | dust | custard
    crumbs | gravy | trousers | beans | teeth | butter | gooseberries | mushrooms | soup

thunder:
    thunder | fiddlesticks | feathers | vinegar | lightning | mustard | rain | sawdust
    tears | toenails | treacle | fog | string | gravel | elbows | pepper

cried:
    cried | shouted | wailed | groaned | said | yelled | gasped | sighed | roared
    howled | grumbled | whimpered | called | sobbed | announced | declared | thundered
    squealed | exclaimed | moaned | screeched

wept:
    wept | howled | sobbed | sniffed | shouted | screamed | whimpered | wailed | raged
    moaned | trembled | sulked

the_dogs:
    the dogs | the neighbours | the whole street | nine babies | the postman | the mayor
    the fire brigade | two old ladies | the police | everybody | six <soggy> <hamsters>

came_running:
    joined in | complained | came running | fell asleep | sang along | moved away
    applauded | laughed | called for help | wept too | brought soup | clapped | danced

plot (no repeats):
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
    <Place> {he} found only <junk>.
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
    cheerfully | wildly | quietly | solemnly | proudly | crossly | shyly | madly
    briskly | gently

crawled:
    crawled | poked | hunted | crept | danced | rolled | hopped | stamped | sniffed
    dug | snooped

found:
    found | woke | frightened | met | stepped on | sat on | came back with
    tripped over | kissed | insulted | fainted on

an_hour:
    an hour | half the night | a whole day | the weekend | two minutes | lunchtime
    a week | teatime | ages

junk:
    a <soggy> <hamster> | two <soggy> <hamsters> | the mayor's <soggy> <hamster>
    somebody's <soggy> <hamster> | a family of <hamsters> | three <soggy> <hamsters>
    nine <hamsters> and one <hamster>

soggy:
    soggy | sad | surprised | snoring | rude | retired | left-handed | runaway
    bewildered | famous | musical | royal | sulky | dancing | forgotten | homemade
    feverish | pale | secret | talking | frozen | stolen | very old | half-eaten
    hopeful | melting | plump | dusty | flying | jealous | married | whistling | rubber
    haunted | wooden | bald | suspicious | hairy | Scottish | floating

hamster:
    hamster | potato | sandwich | shoe | duck | wig | parrot | policeman | clown
    carrot | lobster | mattress | glove | letter | swan | cheese | ghost | frog
    plumber | sausage | moth | camel | uncle | trombone | tuba | poet | radio | pudding
    pancake | dragon | goblin | teaspoon | sheep | turnip | cow | llama | snowman | aunt
    penguin | cucumber | walrus | meatball

hamsters:
    hamsters | potatoes | ducks | shoes | wigs | parrots | clowns | carrots | lobsters
    gloves | swans | ghosts | frogs | plumbers | moths | camels | uncles | poets
    puddings | clouds | dragons | goblins | teaspoons | turnips | cows | llamas
    snowflakes | aunts | penguins | sausages | walruses | meatballs | snowmen | tubas
    pancakes

meet:
    On <perch> sat a <old> {helper}.
    Along came a <old> {helper}, <humming>.
    Just then a <old> {helper} came by, <humming>.
    Nobody was there but a <old> {helper}, <humming> on <perch>.
    A <old> {helper} watched from <perch>, <humming>.
    Who should be <humming> on <perch> but a <old> {helper}!

humming:
    humming | dancing | knitting | reading | having tea | eating a leaf | yawning
    chewing | counting its toes | playing cards | writing a letter | combing its hair
    juggling | sunbathing | doing handstands | peeling an onion | smiling
    blowing bubbles | weeping | polishing a coin | fishing | waving | blinking
    folding paper boats

old:
    very old | fat | young | muddy | thin | wise | very small | one-eyed | rather damp
    smug | yawning | well-dressed | friendly | toothless | round | stately | bony
    blushing | limping | travelling | barefoot

perch:
    <a_mossy> <stone>

a_mossy:
    a mossy | the mayor's | a broken | a wobbling | an empty | somebody's | a painted
    the nearest | a cold | an iron | a sunny | a crooked | grandmother's | a very tall
    an upturned | the only

stone:
    stone | gate | fence | wall | doorstep | tree stump | milk can | signpost | cart
    statue | plough | bench | barrel | stool | cabbage | rocking chair | hammock
    balcony | tractor | bathtub

offer:
    "Your {thing}?" it <said> in a {voice} voice, <humming>. "It will cost you {price}."
    It <winked>. "[Bring|Fetch|Get] me {price}," <said> a {voice} voice.
    "I want no <soggy> <hamsters>," <said> a {voice} voice. "I want {price}."
    "For {price}," it <said> in a {voice} voice, <humming>, "I could find [it|that
        {thing}|your {thing}]."
    "I saw <junk> take it," <said> a {voice} voice. "For {price} I will say more."
    In a {voice} voice it named its price: {price}, [no more|paid at once|and a <soggy>
        <hamster>].

said:
    said | whispered | replied | murmured | answered | remarked | sang | explained
    began | muttered | hissed | confessed | continued | stammered | mumbled | croaked
    purred | insisted | giggled | added

winked:
    winked | coughed | yawned | scratched its ear | stretched | laughed | burped
    blinked | put down its tea | looked around | licked its lips | nodded | frowned
    bowed | hiccuped | shrugged | giggled | sneezed | said nothing | thought hard
    stood up | cleared its throat | grinned | lay down

pay:
    "{Price}!" <cried> {name}. {He} <carefully> <fetched> {price}.
    {name} <winced> and <fetched> {price}, thanks to <the_dogs>.
    {name} <carefully> <fetched> {price} near <junk>.
    <By_noon> {name} <fetched> {price} behind <the_dogs>.
    So {name} <carefully> <wept> until <the_dogs> gave {him} {price}.

winced:
    winced | sighed | groaned | made a face | went home | counted to ten | blushed
    laughed | shivered | trembled | smiled | whistled | fainted | bowed

fetched:
    borrowed | bought | stole | fetched | got | won | took | found

gave:
    gave | handed | offered | brought | threw | served | fed | sent

by_noon:
    by noon | an hour later | after some trouble | at sunset | next morning
    much later | after a nap | over tea | at midnight | in a dream | before bedtime
    in the end

reveal:
    "Look {place}," <said> the {helper} in its {voice} voice, <humming>.
    The {voice} {helper} <winked>. "It is {place}," it <said>.
    "[Try|Search] {place}," <said> the {voice} {helper}, and <winked>.
    The {voice} {helper} <winked> and <winked>. "{Place}," it <said>.

find:
    And there, {place}, <lay> the {colour} {thing}, <state>.
    {He} <carefully> looked {place}, and there <lay> the {colour} {thing}, <state>.
    "My {colour} {thing}!" <cried> {name}, for there it <lay>, {place}, <state>.
    {Place} <lay> the {colour} {thing}, <state>.
    <By_noon> {he} found {his} {colour} {thing}. It <lay> {place}, <state>.
    {name} <ran> off and found the {colour} {thing} {place}, <state>.

ran:
    ran | hurried | flew | tiptoed | marched | raced | strolled | skipped | galloped
    rolled | limped | danced | crawled

lay:
    lay | was | waited | slept | sat | stood | rested | shone | hid | hung | glowed

state:
    <covered> <fresh> <mud> | <covered> <mud> and <mud> | next to <junk>
    guarded by <junk> | safe among <soggy> <hamsters> | dreaming of <soggy> <hamsters>
    under <junk>

covered:
    covered in | full of | smelling of | sticky with | dripping with | buried in
    stuffed with | wrapped in | stained with | hidden by | lost in

fresh:
    fresh | old | sweet | wet | cold | salty | melted | invisible | toasted | soft
    sticky | warm | cheap | expensive | magic | plain

mud:
    mud | feathers | acorns | fish | cobwebs | soap | moss | flour | ink | sand | glue
    leaves | onions | seaweed | pepper | confetti | crumbs | sawdust | fur | jelly
    paint | bubbles | straw | porridge | garlic | rain

feast:
    The {helper} <carefully> ate {price} on <perch>.
    The {helper} gave {price} to <junk>, and <winked>.
    Then {name} and the {helper} shared {price} with <junk> on <perch>.
    Later <junk> told {him} who had hidden it: the {helper}, who <loved> {price}.
    "I hid it myself," <said> the {helper}, its mouth full of {price} and <fresh> <mud>.
    "Keep {price}," <said> the {voice} {helper}. "I would rather have <junk>."

vow:
    "If I [ever find|find|get back] my {thing}," <cried> {name}, "I will {promise}."
    "Find it," {name} told <junk>, "and I will {promise}!"
    {name} <carefully> promised <the_dogs> to {promise} if it came back.
    "I will {promise}," {name} <carefully> told <the_dogs>, "if I get my {colour}
        {thing} back."
    For that {thing}, {he} told <junk>, {name} would {promise}.

hint:
    "Have you looked {place}?" it <said> in a {voice} voice, <humming>.
    "I saw <junk> with your {thing} {place}," <said> a {voice} voice.
    "{Place}," it <said> in a {voice} voice, <humming>.
    It <winked>. "What is {colour} and lies {place}?" <said> a {voice} voice.
    It <winked>. "Your {thing} is {place}," <said> a {voice} voice.

kept:
    That <weather> <time> <the_dogs> and the {voice} {helper} <carefully> watched {name}
        {promise}.
    <By_noon> {name} began to {promise}, watched by the {voice} {helper} and <junk>.
    "And now?" <said> the {voice} {helper}. So the {trait} {job} had to {promise} with
        <junk>.
    {name} <winced>. "You said you would {promise}," <said> the {voice} {helper}. <Junk>
        <came_running>.
    Every <weather> <day> the {voice} {helper} can see {name} {promise} with a <soggy>
        <hamster>.
    The {voice} {helper} brought <junk> to watch {him} {promise}, and <winked>.

riddle:
    Long ago a <old> {helper} <said> in a {voice} voice: "<Hamsters> get lost {place}."
    On <perch> sat a <old> {helper}. "Lost <hamsters> [go|hide] {place}," it <said> in
        a {voice} voice.
    "Lost things [sleep|wait|meet] {place}," a <old> {helper} once said in a {voice}
        voice.
    A <old> {helper} <winked>. "Always look {place}," <said> a {voice} voice.

ignored:
    But {name} was <carefully> <humming>.
    "<Onions> and <thunder>," <cried> {name}.
    {name} forgot it at once, because of <junk>.
    {name} <winced> and listened to <junk>.

remember:
    Suddenly <junk> made {him} remember the {voice} {helper}.
    {name} sat down on <perch>. What was it that the {voice} {helper} <said>?
    Inside {his} head a {voice} voice <winked>. <Onions>! The {helper}!
    "<Onions>! The {voice} {helper}!" <cried> {name}.
    <Junk> spoke in a {voice} voice, just like the {helper}.
    A <soggy> <hamster> made {him} think of the {voice} {helper}.

suspect:
    "It was the {helper}," <cried> {name}, and <ran> to its door.
    {name} had seen a <old> {helper} near <perch>. "Thief!" {he} <cried>.
    It had to be the {helper}, <cried> {name}, and <carefully> <ran> to its door.
    <The_dogs> blamed a <old> {helper}, and so did {name}.

deny:
    "Me?" <said> a {voice} voice. "I never <loved> your {colour} {thing}."
    "I only steal <soggy> <hamsters>," <said> a {voice} voice.
    The {helper} <winked>. "Ask <the_dogs>," it <said> in a {voice} voice, <humming>.
    "Ask <junk>," it <said> in a {voice} voice, <humming>.

disbelieve:
    "Have you looked {place}?" But {name} only listened to <junk>.
    It told {him} to look {place}. {name} <winced> and <ran> off.
    "It is {place}," it added. "<Onions> and <thunder>," <cried> {name}.

sorry:
    "I was wrong," <cried> {name}, and <gave> the {voice} {helper} a <soggy> <hamster>.
    The {trait} {job} <winced> and took <junk> to the {voice} {helper}, which was
        <humming>.
    "Sorry," <cried> {name}. "Bring me <junk>," <said> the {voice} {helper}, and
        <winked>.
    At last the {voice} {helper} got <junk>, and <winked>.

begin:
    First {name} looked {place}, but without {his} glasses {he} <found> <junk>.
    {name} <carefully> began {place}, half asleep, and <found> <junk>.
    "It is not {place}," <cried> {name}, who had only looked at <junk>.
    It was so dark {place} that {name} <winced> and <ran> off.

again:
    "Look where you began," it <said> in a {voice} voice, <humming>.
    It <winked>. "Start again," it <said> in a {voice} voice, <humming>.
    "Put on your glasses," it <said> in a {voice} voice, <humming>.
    "<Hamsters> are always in the first place," <said> a {voice} voice.
    "<Onions> and <thunder>, look again," <said> a {voice} voice.

noise:
    Then {he} heard something <humming> {place}.
    {He} <carefully> followed the smell of <fresh> <mud>. Was something <humming>
        {place}?
    A <soggy> noise was heard {place}.

mender:
    There, {place}, a <old> {helper} was <carefully> <humming> with the {colour}
        {thing}.
    {Place} {he} found a <old> {helper}, <humming> beside the {colour} {thing}.
    A <old> {helper} had the {colour} {thing}, and was <humming> {place}.

explain:
    "Thief!" <cried> {name}. "No," <said> a {voice} voice, "I mended it with <mud>."
    "It was full of <fresh> <mud>," <said> a {voice} voice.
    "I needed it for <soggy> <hamsters>," <said> a {voice} voice.
    It <winked>. "I have washed off the <fresh> <mud>," <said> a {voice} voice.

gift:
    {name} <winced> and <gave> the {helper} <junk>.
    "How wrong I was," <cried> {name}, and <carefully> <gave> it <junk>.
    "What do I owe you?" <cried> {name}. "Only <junk>."
    {name} shared <mud> and <mud> with <junk>.

after:
    Ever since, {name}, <junk> and the {voice} {helper} look {place} first.
    The {colour} {thing}? It lives with {name}, the {voice} {helper} and <junk>.
    Ever after, the {trait} {job} <sang_to> <soggy> <hamsters> like a {voice} {helper}.
    That <weather> <time> {name} and the {voice} {helper} <carefully> <kissed> the
        {colour} {thing}.
    Only <junk> and the {voice} {helper} saw what happened {place}.
    If you hear a {voice} voice <often>, it is the {helper}, <carefully> <humming>.
    And the {voice} {helper}? It <loved> <soggy> <hamsters> <often>.

sang_to:
    sang to | talked to | whispered to | lectured | shouted at | preached to | scolded

kissed:
    kissed | hugged | talked to | sang to | slept beside | danced with | apologized to
    polished | tickled | wrote a poem about

name:
    Pip | Wren | Kit | Robin | Mika | Sasha | Billie | Noor | Rowan | Frankie | Remy
    Tovi | Lou | Yuki | Ziggy | Marlow | Dara | Ollie | Quill | Juniper | Fenn | Jules
    Teddy | Bo

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
    tailor | baker | gardener | sailor | painter | cook | shepherd | clockmaker
    teacher | piper | beekeeper | carpenter | juggler | pirate | librarian | potter
    fiddler | doctor | wizard | locksmith | barber | dentist | postmaster

thing:
    kite | drum | hat | teapot | umbrella | scarf | lantern | whistle | spoon | violin
    ladder | blanket | boot | bell | notebook | bicycle | key | purse | trumpet | basket
    compass | kettle | wheelbarrow | pillow | mitten | telescope | button | flag
    bucket

colour:
    red | blue | green | yellow | white | purple | silver | golden | black | pink
    brown | orange | grey | turquoise

place (no repeats):
    under the bridge | behind the mill | in the old oak | on the roof | beside the pond
    in the barn | under the stairs | in the bakery | in the cellar | on the haystack
    under the bed | in the tall grass | in the attic | in the piano | on the train
    in the chimney | among the pumpkins | in the canoe | behind the stove
    in the post box | down the well | on the shelf | in the hedge | in the wardrobe
    in the stable | up the mountain

helper:
    owl | toad | goose | snail | crow | badger | goat | hedgehog | cat | mole | donkey
    heron | beetle | magpie | otter | bat | tortoise | squirrel | spider | fox

voice:
    squeaky | creaky | rumbling | silky | wobbly | rusty | hoarse | booming | tiny
    husky | trembling | buttery | nasal | gravelly | velvet | crackly

price:
    three plums | a cheese pie | a jar of honey | seven cherries | a bowl of soup
    two waffles | a ginger cake | a bag of nuts | a boiled egg | a pot of jam
    nine radishes | a loaf of rye | a slice of melon | a raisin bun

promise:
    sing to the fishes | dance on the table | hop home | bake a pretzel
    sweep the street | wash the mayor | kiss a frog | learn to yodel | plant a tree
    write a poem | paint the gate | wear a crown | ride a pig | jump in the fountain
    climb the steeple | sleep on a cactus | tickle a bear | marry a cloud
"""

NEAR = 60  # characters; no piece of the grammar is so long
FAR = 2000  # characters; no story is so long

Pieces = tuple[Any, ...]  # of str, Choice and Slot, in the order they are spoken


class Choice:
    """A weighted set of alternatives. Alternative k, from 0, weighs 1000 // (k + 10).

    That is Zipf's law as Mandelbrot wrote it, in integers.
    """

    def __init__(
        self, rule: str, items: list[Any], numbers: Sequence[int], repeats: bool = True
    ) -> None:
        self.rule = rule  # where it was written; "" for a choice in brackets
        self.items = items  # every alternative: str, or Pieces
        self.numbers = numbers  # of those that are left to choose from
        self.repeats = repeats
        weights = [1000 // (number + 10) for number in numbers]
        self.cumulative = list(accumulate(weights))
        self.total = self.cumulative[-1]
        self.bits = [log2(self.total / weight) for weight in weights]
        self._without: dict[int, Choice] = {}

    def without(self, spoken: int) -> "Choice":
        """Take away the alternatives whose bits are set in the mask `spoken`."""
        if spoken not in self._without:
            left = [number for number in self.numbers if not spoken >> number & 1]
            self._without[spoken] = Choice(self.rule, self.items, left)
        return self._without[spoken]

    @cached_property
    def beginnings(self) -> list[tuple[str, ...]]:
        """What each alternative that is left can begin with."""
        return [beginnings(self.items[number]) for number in self.numbers]

    @cached_property
    def others(self) -> list[tuple[str, ...]]:
        """For each alternative, all but that."""
        items = self.items
        return [(*items[:k], *items[k + 1 :]) for k in range(len(items))]


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a sentence where a fact is spoken."""

    fact: str
    surfaces: Choice  # how each value of the fact is written here
    forced: bool  # whether a known fact leaves no other way to go on here


def beginnings(item: Any) -> tuple[str, ...]:
    """Return what an alternative, or a piece of one, can begin with."""
    if isinstance(item, str):
        return (item,)
    if isinstance(item, Slot):
        return beginnings(item.surfaces)
    if isinstance(item, Choice):
        return tuple(start for starts in item.beginnings for start in starts)
    return beginnings(item[0])


def read_grammar(grammar: str) -> dict[str, Choice]:
    """Return the rules of a grammar by name, ready for `tell`."""
    lines: dict[str, list[str]] = {}
    unrepeated = set(re.findall(r"^(\w+) \(no repeats\):", grammar, re.MULTILINE))
    for line in grammar.replace("\n        ", " ").splitlines():
        if line.endswith(":"):
            alternatives = lines[line.split()[0].rstrip(":")] = []
        elif line:
            alternatives += re.split(r" *\| *(?![^\[]*\])", line.strip())
    rules: dict[str, Choice] = {}

    def rule(name: str) -> Choice:
        if name not in rules:
            low = name[0].lower() + name[1:]
            written = lines[low]
            if name != low:
                written = [capitalized(line) for line in written]
            rules[name] = choice(low, written, low not in unrepeated)
        return rules[name]

    def choice(rule: str, written: list[str], repeats: bool = True) -> Choice:
        items = [pieces(line) for line in written]
        return Choice(rule, items, range(len(items)), repeats)

    def pieces(line: str) -> Any:
        found: list[Any] = []
        for part in re.findall(r"<\w+>|\{\w+\}|\[[^]]*\]|[^<{[]+", line):
            name = part[1:-1]
            if part[0] == "<":
                used = rule(name)
                found += [used] if len(used.items) > 1 else used.items[0]
            elif part[0] == "{":
                fact = PRONOUNS.get(name.lower(), name.lower())
                found.append(Slot(fact, rule(name), forced=bool(found)))
            elif part[0] == "[":
                found.append(choice("", name.split("|")))
            else:
                found.append(part.replace("/", "\n"))
        return found[0] if found == [line] else tuple(found)

    for name in lines:
        rule(name)
    return rules


def capitalized(line: str) -> str:
    """Return a line of the grammar with its first letter, or first rule's, in capitals.

    >>> capitalized("<place> {he} waited.")
    '<Place> {he} waited.'
    """
    return re.sub("[a-z]", lambda letter: letter[0].upper(), line, count=1)


# A pronoun is one fact written in three ways.
PRONOUNS = {"he": "pronoun", "him": "pronoun", "his": "pronoun"}
RULES = read_grammar(GRAMMAR)
# The words that stories are written in.
WORDS = {
    word
    for line in re.sub(r"<\w+>|\{\w+\}|.*:$", "", GRAMMAR, flags=re.M).splitlines()
    for word in re.findall(r"[\w'-]+", line.lower())
}
# The facts, each with the values it can have.
FACTS: dict[str, tuple[str, ...]] = {
    "name": (*RULES["name"].items,),
    "pronoun": (*RULES["he"].items,),
    "trait": (*RULES["trait"].items,),
    "job": (*RULES["job"].items,),
    "colour": (*RULES["colour"].items,),
    "thing": (*RULES["thing"].items,),
    "place": (*RULES["place"].items,),
    "helper": (*RULES["helper"].items,),
    "voice": (*RULES["voice"].items,),
    "price": (*RULES["price"].items,),
    "promise": (*RULES["promise"].items,),
}


def tell(
    choose: Callable[[Choice], int],
    emit: Callable[[str], object],
    mention: Callable[[Slot, int], object],
    known: dict[str, int],
    spoken: dict[str, int],
) -> None:
    """Tell one story. No other function knows how a story goes.

    choose picks one of what is left of a choice, by its place in `choice.numbers`; emit
    writes a piece of text, and mention a fact, by the number of its value. known holds
    the facts that are settled, and spoken the alternatives that are used up, as a bit
    mask for each rule without repeats: both are empty before a story left to chance.

    >>> written = []
    >>> tell(
    ...     choose=lambda choice: 0,  # always the likeliest
    ...     emit=written.append,
    ...     mention=lambda slot, number: written.append(slot.surfaces.items[number]),
    ...     known={},
    ...     spoken={},
    ... )
    >>> "".join(written)[:47]
    'Pip was a sleepy tailor who talked to hamsters '
    """

    def pick(choice: Choice) -> int:
        if choice.repeats:
            return choose(choice)
        left = choice.without(spoken.get(choice.rule, 0))
        number = left.numbers[choose(left)]
        spoken[choice.rule] = spoken.get(choice.rule, 0) | 1 << number
        return number

    def speak(pieces: Pieces) -> None:
        for piece in pieces:
            kind = type(piece)
            if kind is str:
                emit(piece)
            elif kind is Slot:
                if piece.fact not in known:
                    known[piece.fact] = pick(piece.surfaces)
                mention(piece, known[piece.fact])
            else:
                item = piece.items[choose(piece) if piece.repeats else pick(piece)]
                if type(item) is str:
                    emit(item)
                else:
                    speak(item)

    speak(RULES["story"].items[0])


class Need(NamedTuple):
    """A position in a story where only the value of a fact can stand."""

    position: int  # of the first character
    value: str  # as it is written there: "her" where the pronoun is "she"
    alternatives: tuple[str, ...]  # the other values, as they would be written there


class Fact(NamedTuple):
    """What a story settles once, and must remember."""

    name: str
    value: str
    set_at: int  # the position where it is first told
    needs: tuple[Need, ...]

    @property
    def needed_at(self) -> tuple[int, ...]:
        """The positions of the needs."""
        return tuple(need.position for need in self.needs)

    @property
    def alternatives(self) -> tuple[str, ...]:
        """The other values the fact could have had."""
        return tuple(value for value in FACTS[self.name] if value != self.value)


class Story(NamedTuple):
    """A story, what it cost in bits, and its facts in the order they were set."""

    text: str
    bits: float
    facts: tuple[Fact, ...]


def sample_stories(
    count: int, seed: int = 0, start: int = 0, wish: Mapping[str, str] | None = None
) -> Iterator[Story]:
    """Yield stories number `start` to `start + count - 1` of a seed.

    A wish settles facts beforehand, by name and value: they cost no bits, a plot that
    would leave one out is not chosen, and all other choices keep their weights.
    Raises ValueError for numbers below 0 and for a wish that no story fulfils.

    >>> [story] = sample_stories(1, wish={"job": "pirate", "thing": "drum"})
    >>> "pirate" in story.text and "drum" in story.text
    True
    """
    known, spoken = _settle(wish or {})
    return map(_story, _samples(count, seed, start, known, spoken))


def sample_texts(
    count: int, seed: int = 0, start: int = 0
) -> Iterator[tuple[str, float]]:
    """Yield the texts and the bits of the same stories, in half the time.

    Raises ValueError for numbers below 0.
    """
    samples = _samples(count, seed, start, {}, {})
    return (("".join(parts), bits) for parts, bits, _ in samples)


def sample_story(
    index: int, seed: int = 0, wish: Mapping[str, str] | None = None
) -> Story:
    """Return story number `index` of a seed. It depends on these and nothing else.

    >>> sample_story(7) == list(sample_stories(8))[7]
    True
    """
    return next(sample_stories(1, seed, index, wish))


Mention = tuple[int, Slot, int]  # where, at which slot, the number of the value
Sample = tuple[list[str], float, list[Mention]]  # parts, bits, the parts that mention


def _samples(
    count: int, seed: int, start: int, known: dict[str, int], spoken: dict[str, int]
) -> Iterator[Sample]:
    if min(count, seed, start) < 0:
        raise ValueError(
            f"count, seed and start must be 0 or more, got {count}, {seed} and {start}"
        )
    source = random.Random()
    uniform = source.random  # the only source of chance

    def sample(index: int) -> Sample:
        parts: list[str] = []
        costs: list[float] = []
        mentions: list[Mention] = []

        def choose(choice: Choice) -> int:
            k = bisect(choice.cumulative, uniform() * choice.total)
            costs.append(choice.bits[k])
            return k

        def mention(slot: Slot, number: int) -> None:
            mentions.append((len(parts), slot, number))
            parts.append(slot.surfaces.items[number])

        source.seed(seed << 64 | index)
        tell(choose, parts.append, mention, {**known}, {**spoken})
        return parts, fsum(costs), mentions

    return map(sample, range(start, start + count))


def _story(sample: Sample) -> Story:
    parts, bits, mentions = sample
    starts = [0, *accumulate(map(len, parts))]
    facts = _facts([(starts[part], slot, k) for part, slot, k in mentions])
    return Story("".join(parts), bits, facts)


def _facts(mentions: list[Mention]) -> tuple[Fact, ...]:
    """Return the facts that are told more than once, in the order they were set."""
    told: dict[str, list[Mention]] = {}
    for mention in mentions:
        told.setdefault(mention[1].fact, []).append(mention)
    return tuple(
        Fact(fact, FACTS[fact][number], position, tuple(_needs(again)))
        for fact, ((position, _, number), *again) in told.items()
        if again
    )


def _needs(mentions: list[Mention]) -> Iterator[Need]:
    for position, slot, number in mentions:
        if slot.forced:
            surfaces = slot.surfaces
            yield Need(position, surfaces.items[number], surfaces.others[number])


def _settle(wish: Mapping[str, str]) -> tuple[dict[str, int], dict[str, int]]:
    """Return what `tell` must know, and must not speak, to fulfil a wish."""
    for fact, value in wish.items():
        if fact not in FACTS:
            raise ValueError(f"a wish names some of {', '.join(FACTS)}; got {fact!r}")
        if value not in FACTS[fact]:
            raise ValueError(
                f"no story has the {fact} {value!r}; there are: "
                + ", ".join(FACTS[fact])
            )
    known = {fact: FACTS[fact].index(value) for fact, value in wish.items()}
    spoken = {"place": 1 << known["place"]} if "place" in known else {}
    plots = RULES["plot"].items
    always = _always_told(RULES["story"].items[0])
    lacking = [bool(wish.keys() - always - _always_told(plot)) for plot in plots]
    if all(lacking):
        raise ValueError(f"no story tells of all these: {', '.join(wish)}")
    spoken["plot"] = sum(1 << k for k, lacks in enumerate(lacking) if lacks)
    return known, spoken


@cache
def _always_told(item: Any) -> frozenset[str]:
    """Return the facts that a piece tells of, whatever is chosen in it."""
    if isinstance(item, Slot):
        return frozenset({item.fact})
    if isinstance(item, Choice):
        return frozenset.intersection(*map(_always_told, item.items))
    if isinstance(item, str):
        return frozenset()
    return frozenset().union(*map(_always_told, item))


class _Disagreement(Exception):
    """What is told is not what is written."""


class _EndOfText(Exception):
    """All that is written has been told, and the story goes on."""


class _Reader:
    """Replays every story that agrees with a text for as long as the text lasts.

    A list of picks leads `tell` back to a choice that had several answers; then it goes
    on by what is written, and leaves the other answers on the agenda.
    """

    def __init__(self, text: str, patience: float = inf) -> None:
        self.text = text
        self.agenda: list[list[int]] = [[]]
        self.replays = 0
        self.patience = patience

    def __iter__(self) -> Iterator[Self]:
        """Stop wherever a story ends, or the text does."""
        while self.agenda and self.replays < self.patience:
            self.script = self.agenda.pop()
            self.picks: list[int] = []
            self.position = 0
            self.costs: list[float] = []
            self.mentions: list[Mention] = []
            self.beyond = ""  # what the story says next, after the text
            self.replays += 1
            try:
                self.replay()
            except _Disagreement:
                continue
            except _EndOfText:
                pass
            yield self

    def replay(self) -> None:
        tell(self.choose, self.emit, self.mention, {}, {})

    @property
    def whole(self) -> bool:
        """Whether the story ends where the text does."""
        return not self.beyond and self.position == len(self.text)

    def agrees(self, said: str) -> bool:
        """Whether this may be said next, as far as the text lasts."""
        left = len(self.text) - self.position
        return self.text.startswith(said[:left], self.position)

    def choose(self, choice: Choice) -> int:
        k = self.pick(lambda: self.fitting(choice))
        self.costs.append(choice.bits[k])
        return k

    def pick(self, answers: Callable[[], list[int]]) -> int:
        if len(self.picks) < len(self.script):
            k = self.script[len(self.picks)]
        else:
            fitting = answers()
            if not fitting:
                raise _Disagreement
            k, *rest = fitting
            self.agenda += [[*self.picks, other] for other in rest]
        self.picks.append(k)
        return k

    def fitting(self, choice: Choice) -> list[int]:
        left = len(self.text) - self.position
        starts = choice.beginnings
        if left < NEAR:
            starts = [tuple(said[:left] for said in start) for start in starts]
        agrees = self.text.startswith
        return [k for k, start in enumerate(starts) if agrees(start, self.position)]

    def emit(self, said: str) -> None:
        if not self.agrees(said):
            raise _Disagreement
        left = len(self.text) - self.position
        self.position += len(said)
        if left < len(said):
            self.beyond = said[left:]
            raise _EndOfText

    def mention(self, slot: Slot, number: int) -> None:
        self.mentions.append((self.position, slot, number))
        self.emit(slot.surfaces.items[number])


def parse_story(text: str) -> list[Story]:
    """Return every way of telling exactly this text: one for a story, else none.

    >>> story = sample_story(3)
    >>> parse_story(story.text)[0].facts == story.facts
    True
    """
    return [
        Story(text, fsum(told.costs), _facts(told.mentions))
        for told in _Reader(text)
        if told.whole
    ]


def score_story(text: str) -> float:
    """Return what a story cost, in bits.

    Raises ValueError if the text is not a story of this grammar, or not a whole one.
    """
    told = parse_story(text)
    if not told:
        raise ValueError(
            "expected a whole story, which ends in a blank line, "
            f"but from position {_departure(text)} on it is told otherwise"
        )
    return told[0].bits


def next_characters(prefix: str) -> dict[str, float]:
    """Return the exact probability of each character that can follow a prefix.

    Nothing follows a whole story. Raises ValueError, with the position, where the
    prefix departs from every story.

    >>> next_characters("Once upon a tim")
    {'e': 1.0}
    """
    chances: dict[str, float] = {}
    ended = False
    for told in _Reader(prefix):
        if told.beyond:
            character = told.beyond[0]
            chances[character] = chances.get(character, 0.0) + 2.0 ** -fsum(told.costs)
        else:
            ended = told.whole
    if not chances and not ended:
        raise ValueError(
            f"expected the beginning of a story, but from position "
            f"{_departure(prefix)} on no story goes like this"
        )
    total = sum(chances.values())
    return {character: chances[character] / total for character in sorted(chances)}


def _departure(text: str) -> int:
    """Return how many characters of a text can begin a story."""

    def departs(length: int) -> bool:
        tellings = _Reader(text[:length])
        return not any(told.beyond or told.whole for told in tellings)

    return bisect(range(1, min(len(text), FAR) + 1), False, key=departs)


class _ForgivingReader(_Reader):
    """Accepts a wrong fact too, and a place searched twice, and notes the former."""

    def replay(self) -> None:
        self.slips: dict[str, str] = {}
        self.unknown: set[str] = set()  # facts first told in words that no story has
        tell(self.choose, self.emit, self.mention, {}, _Forgetful())

    def fitting(self, choice: Choice) -> list[int]:
        found = super().fitting(choice)
        return found if found or choice.rule not in {*FACTS, *PRONOUNS} else [0]

    def mention(self, slot: Slot, number: int) -> None:
        surfaces = slot.surfaces.items
        if self.agrees(surfaces[number]):
            return super().mention(slot, number)
        said = self.said_instead(surfaces)
        slip = _changed(slot.fact, surfaces[number], said)
        if slot.fact not in {earlier.fact for _, earlier, _ in self.mentions}:
            slip = f"{slot.fact}: no story has {said!r}"
            self.unknown.add(slot.fact)
        self.slips.setdefault(slot.fact, slip)
        self.mentions.append((self.position, slot, number))
        self.position += len(said)

    def said_instead(self, surfaces: list[str]) -> str:
        """Return one of these that stands here; else a word, or two or three."""
        for value in surfaces:
            if self.text.startswith(value, self.position):
                return value
        count = self.pick(lambda: [1, 2, 3])
        words = re.compile(rf"[\w'-]+(?: [\w'-]+){{{count - 1}}}")
        said = words.match(self.text, self.position)
        if said is None:
            raise _Disagreement
        return said[0]


class _Forgetful(dict[str, int]):
    """What was spoken, for a reader who does not mind repeats."""

    def __setitem__(self, rule: str, mask: int) -> None:
        """Forget it."""


def _changed(fact: str, first: str, later: str) -> str:
    return f"{fact}: {first!r} at first, {later!r} later"


def check_story(text: str, wish: Mapping[str, str] | None = None) -> list[str]:
    """Return in words what is broken in a story; nothing, if it is consistent.

    Any text will do. The story must begin and end like one and tell each fact, always
    the same: the hero's name, pronoun, trait and job, the lost thing and its colour,
    the helper and its voice, the place where the thing is found, and a price or promise
    if there is one. Other wording is free, in known words. What a wish asks for must be
    told too; it raises ValueError where no story fulfils it.

    >>> text = sample_story(0).text
    >>> check_story(text)
    []
    >>> check_story(text.replace("hung the purple", "hung the green"))
    ["colour: 'purple' at first, 'green' later"]
    >>> check_story(text, wish={"job": "pirate"})
    ["wish: job 'pirate', not 'potter'"]
    """
    _settle(wish or {})
    told, broken = _read_closely(text) or _read_freely(text[:FAR])
    for fact, value in (wish or {}).items():
        if told.get(fact) != value:
            broken.append(f"wish: {fact} {value!r}, not {told.get(fact, 'untold')!r}")
    return broken


Reading = tuple[dict[str, str], list[str]]  # the facts as first told; what is broken

PATIENCE = 60  # replays of a text before it counts as worded freely; a story takes 7
FRAME = 200  # characters; no opening or ending is so long


def _read_closely(text: str) -> Reading | None:
    """Read a text that follows the grammar in all but its facts."""
    readings = [
        (
            {
                slot.fact: FACTS[slot.fact][k]
                for _, slot, k in told.mentions
                if slot.fact not in told.unknown
            },
            told.slips,
        )
        for told in _ForgivingReader(text, PATIENCE)
        if told.whole
    ]
    if not readings:
        return None
    told, slips = min(readings, key=lambda reading: len(reading[1]))
    return told, [*slips.values()]


def _read_freely(text: str) -> Reading:
    """Read the facts of any text by their words, which nothing else in a story uses."""
    spoken = {fact: _spoken(fact, text) for fact in FACTS}
    told = {fact: values[0] for fact, values in spoken.items() if values}
    if places := spoken["place"]:
        told["place"] = places[-1]  # the others were searched in vain
    always = _always_told(RULES["story"].items[0])
    untold = [fact for fact in FACTS if fact in always and fact not in told]
    if len(untold) > 3:
        return told, [f"not a story: it tells no {', no '.join(untold)}"]
    broken = [f"{fact}: not told" for fact in untold]
    for fact, values in spoken.items():
        later = [value for value in values if value != values[0]]
        if later and fact != "place":
            broken.append(_changed(fact, values[0], later[0]))
    if places and places[-1] not in places[:-1]:
        broken.append(f"place: found {places[-1]!r}, where nobody said it was")
    if len(spoken["promise"]) == 1:
        broken.append(f"promise: {told['promise']!r} is promised and not kept")
    words = dict.fromkeys(re.findall(r"[\w'-]+", text.lower()))
    broken += [f"wording: no story has {word!r}" for word in words if word not in WORDS]
    return told, broken + _badly_framed(text)


def _spoken(fact: str, text: str) -> list[str]:
    """Return the values of a fact that a text speaks of, in its order."""
    forms = (
        [RULES[rule].items for rule in PRONOUNS] if fact == "pronoun" else [FACTS[fact]]
    )
    value = {form.lower(): k for items in forms for k, form in enumerate(items)}
    pattern = rf"\b(?:{'|'.join(map(re.escape, value))})\b"
    return [FACTS[fact][value[form]] for form in re.findall(pattern, text.lower())]


def _badly_framed(text: str) -> list[str]:
    """Tell whether a text begins and ends like a story."""
    body = text.removesuffix("\n\n")
    broken = []
    if not any(_has_words_of(body[:FRAME], line) for line in RULES["opening"].items):
        broken.append("opening: no story begins like this")
    rules = ("feast", "kept", "sorry", "after")
    endings = [line for rule in rules for line in RULES[rule].items]
    if not any(_has_words_of(body[-FRAME:], line) for line in endings):
        broken.append("ending: no story ends like this")
    if body == text or "\n\n" in body:
        broken.append("ending: a story has one blank line, at its end")
    return broken


def _has_words_of(text: str, pieces: Pieces) -> bool:
    """Whether a text has the fixed words of a line of the grammar, in their order."""
    position = 0
    for piece in pieces:
        if isinstance(piece, str):
            position = text.find(piece, position) + len(piece)
            if position < len(piece):
                return False
    return True


# Each states some facts of a story as a wish.
INSTRUCTIONS = (
    "Tell a story about a {trait} {job} who lost the {thing}.",
    "Tell me about {name} and the {colour} {thing}.",
    "Write a story with a {job} called {name} and the {helper}.",
    "Who found the {colour} {thing} {place}? Tell the story.",
    "A story, please, in which {name} promises to {promise}.",
    "A story, please, in which the {helper} gets {price}.",
)


def instruction(story: Story) -> str:
    """Return a wish that a story fulfils, in one of several forms.

    >>> instruction(sample_story(0))
    'Who found the purple umbrella on the roof? Tell the story.'
    """
    told, _ = _read_freely(story.text)
    fitting = [
        form for form in INSTRUCTIONS if {*re.findall(r"{(\w+)}", form)} <= {*told}
    ]
    return fitting[len(story.text) % len(fitting)].format(**told)


def read_instruction(text: str) -> dict[str, str]:
    """Return the wish that an instruction states, for `sample_story` and `check_story`.

    >>> read_instruction("Tell me a story about a pirate and a drum!")
    {'job': 'pirate', 'thing': 'drum'}
    """
    spoken = {fact: _spoken(fact, text) for fact in FACTS if fact != "pronoun"}
    return {fact: values[0] for fact, values in spoken.items() if values}
